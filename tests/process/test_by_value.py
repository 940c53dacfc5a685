"""What a functor refers to reaches its workers, also what pickle would look up by its name."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest


def script(directory: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (directory / "train.py").write_text(textwrap.dedent(text))
    return subprocess.run(
        [sys.executable, *(arguments or ("train.py",))],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=90,
    )


def says(done: subprocess.CompletedProcess[str], expected: str) -> None:
    assert done.stdout == expected, done.stderr


def test_cached_functions_of_a_script_work_also_recursive_ones(tmp_path: Path) -> None:
    text = """
        import functools, minipipe as mp
        @functools.lru_cache(maxsize=5, typed=True)
        def table(n): return list(range(n))
        @functools.cache
        def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
        class Grid:
            @functools.cache
            def row(self, y): return y * 10
            def run(self, x):
                return self.row(x), table(10)[x], fib(30 + x), table.cache_parameters()
        print(list(mp.PipeLine([mp.Source(range(2)), mp.Transform(fib), mp.Transform(Grid())])))
    """
    parameters = "{'maxsize': 5, 'typed': True}"
    says(
        script(tmp_path, text),
        f"[(0, 0, 832040, {parameters}), (10, 1, 1346269, {parameters})]\n",
    )


def test_hints_of_a_script_work(tmp_path: Path) -> None:
    text = """
        from typing import Callable, NewType, ParamSpec, TypeVar
        import minipipe as mp
        UserId = NewType("UserId", int)
        P, R = ParamSpec("P"), TypeVar("R")
        def timed(f: Callable[P, R]) -> Callable[P, R]:
            def wrapper(*args: P.args, **kwargs: P.kwargs) -> R: return f(*args, **kwargs)
            return wrapper
        @timed
        def make(x: int) -> UserId: return UserId(x + 1)
        print(list(mp.PipeLine([mp.Source(range(3)), mp.Transform(make)])))
    """
    says(script(tmp_path, text), "[1, 2, 3]\n")


def test_a_singleton_that_pickles_as_its_name_is_the_same_one_in_functor_and_items(
    tmp_path: Path,
) -> None:
    text = """
        import minipipe as mp
        class Missing:
            def __reduce__(self): return "MISSING"
        MISSING = Missing()
        MISSING.shown = "-"
        def is_it(x, wanted=MISSING): return x is wanted, x is MISSING, x.shown, x
        (found,) = mp.PipeLine([mp.Source([MISSING]), mp.Transform(is_it)])
        print(found[:3], found[3] is MISSING)
    """
    says(script(tmp_path, text), "(True, True, '-') True\n")


def test_an_object_that_forwards_what_it_lacks_can_be_captured(tmp_path: Path) -> None:
    text = """
        import minipipe as mp
        class Proxy:
            def __init__(self, inner): self.inner = inner
            def __getattr__(self, name): return getattr(self.inner, name)
        class Slotted:
            __slots__ = ("inner",)
            def __init__(self, inner): self.inner = inner
            def __getattr__(self, name): return getattr(self.inner, name)
        one, other = Proxy([1, 2, 3]), Slotted(Proxy("abc"))
        print(list(mp.PipeLine([mp.Source(range(2)),
                                mp.Transform(lambda x: (one.index(3), other.upper()))])))
    """
    says(script(tmp_path, text), "[(2, 'ABC'), (2, 'ABC')]\n")


@pytest.mark.parametrize("how", ["spawn", "forkserver"])
def test_a_pipeline_runs_inside_a_process_that_multiprocessing_has_spawned(
    tmp_path: Path, how: str
) -> None:
    text = f"""
        import functools, multiprocessing, minipipe as mp
        class Item:
            def __init__(self, x): self.x = x
        def item(x): return Item(x)
        @functools.cache
        def square(x): return x * x
        def train(rank):
            items = mp.PipeLine([mp.Source(range(3)), mp.Transform(square), mp.Transform(item)])
            print([(type(i) is Item, i.x) for i in items], flush=True)
        if __name__ == "__main__":
            p = multiprocessing.get_context("{how}").Process(target=train, args=(0,))
            p.start(); p.join()
    """
    says(script(tmp_path, text), "[(True, 0), (True, 1), (True, 4)]\n")


def test_a_script_without_a_guard_is_refused_where_a_spawned_process_imports_it(
    tmp_path: Path,
) -> None:
    text = """
        import multiprocessing, minipipe as mp
        def job(): print("ran", flush=True)
        if __name__ == "__main__":
            p = multiprocessing.get_context("spawn").Process(target=job)
            p.start(); p.join()
        else:
            list(mp.PipeLine([mp.Source([1])]))
    """
    done = script(tmp_path, text)
    assert done.stdout == ""
    assert "starts a pipeline while a process that multiprocessing has spawned" in done.stderr


def test_modules_that_a_worker_cannot_find_travel_by_value(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "tool.py").write_text(
        "class Item:\n    def __init__(self, x): self.x = x\ndef wrap(x): return Item(x + 1)\n"
    )
    (plugins / "gone.py").write_text("step = 5\ndef add(item): item.x += step; return item\n")
    text = """
        import importlib.util, sys, types, minipipe as mp
        spec = importlib.util.spec_from_file_location("made_up_name", "plugins/tool.py")
        tool = importlib.util.module_from_spec(spec)
        sys.modules["made_up_name"] = tool
        spec.loader.exec_module(tool)
        sys.path.insert(0, "plugins")
        import gone
        del sys.path[0]
        out_of_air = types.ModuleType("out_of_air")
        exec("def double(item): item.x *= 2; return item", vars(out_of_air))
        sys.modules["out_of_air"] = out_of_air
        items = list(mp.PipeLine([mp.Source(range(3)), mp.Transform(tool.wrap),
            mp.Transform(lambda item: gone.add(item)), mp.Transform(out_of_air.double)]))
        print([(type(item) is tool.Item, item.x) for item in items])
    """
    says(script(tmp_path, text), "[(True, 12), (True, 14), (True, 16)]\n")


MODEL = """
    from __future__ import annotations
    import dataclasses, inspect, json, pickle, shelve, typing
    from typing import Any
    import concurrent.futures, multiprocessing
    import minipipe as mp

    class Model:
        seen = 0
        def double(self, x): return 2 * x
    @dataclasses.dataclass
    class Config:
        model: Model
        options: dict[str, Any]
    def square(x): return x * x
"""


def in_worker(directory: Path, body: str, after: str = "", head: str = MODEL) -> Any:
    text = textwrap.dedent(head) + textwrap.dedent(
        """
        class Task:
            def run(self, x): pass
            def local_term(self):
                BODY
        def main():
            found = mp.PipeLine([mp.Source(range(2)), mp.Sink(Task(), "task")]).run().close()
            AFTER
        if __name__ == "__main__":
            main()
        """
    ).replace("BODY", body).replace("AFTER", after)
    return script(directory, text)


@pytest.mark.parametrize(
    "save, load",
    [
        ("pickle.dump(Model(), open('m', 'wb'))", "pickle.load(open('m', 'rb'))"),
        ("import joblib; joblib.dump(Model(), 'm')", "__import__('joblib').load('m')"),
        ("shelve.open('m')['m'] = Model()", "shelve.open('m')['m']"),
    ],
)
def test_what_a_worker_pickles_can_be_loaded_by_the_script(
    tmp_path: Path, save: str, load: str
) -> None:
    done = in_worker(tmp_path, save, f"print(type({load}) is Model)")
    assert done.stdout == "True\n", done.stderr


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_a_pool_in_a_functor_finds_the_functions_of_the_script(tmp_path: Path, how: str) -> None:
    body = (
        f"context = multiprocessing.get_context('{how}')\n"
        "        with concurrent.futures.ProcessPoolExecutor(1, context) as pool:\n"
        "            return list(pool.map(square, range(4)))"
    )
    done = in_worker(tmp_path, body, "print(found)")
    assert done.stdout == "{'task': [0, 1, 4, 9]}\n", done.stderr


def test_a_worker_knows_the_hints_and_the_source_of_what_it_got(tmp_path: Path) -> None:
    body = (
        "return [str(typing.get_type_hints(Config)['options']), "
        "typing.get_type_hints(Config)['model'] is Model, inspect.getsource(square), __file__]"
    )
    done = in_worker(tmp_path, body, "print(found['task'][:3], found['task'][3] == __file__)")
    assert done.stdout == (
        "['dict[str, typing.Any]', True, 'def square(x): return x * x\\n'] True\n"
    ), done.stderr


def test_classes_of_items_are_those_of_the_functor_and_keep_what_they_counted(
    tmp_path: Path,
) -> None:
    text = """
        import minipipe as mp
        class Model:
            seen = 0
            def __init__(self, x): self.x = x
            def name(self): return helper(self.x)
        def helper(x): return f"model {x}"
        def make(x):
            Model.seen += 1
            return Model(x)
        def look(model):
            Model.seen += 10
            return isinstance(model, Model), Model.seen, model.name(), model
        first = Model.name
        out = list(mp.PipeLine([mp.Source(range(2)), mp.Transform(make), mp.Transform(look)]))
        print([each[:3] for each in out], all(type(each[3]) is Model for each in out))
        print(Model.seen, Model.name is first)
    """
    says(
        script(tmp_path, text),
        "[(True, 10, 'model 0'), (True, 20, 'model 1')] True\n0 True\n",
    )
