"""What functors import of installed packages is imported once, in the zygote, unless workers must
not share it; their own modules by each worker."""

from __future__ import annotations

import importlib
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import minipipe as mp
from minipipe.protocol.run import timeouts

WORKERS = 4


class Modules:
    """Modules in a directory of their own, which say where each import of them was noted.

    Args:
        place: for those of the user's; a folder in it is for what is installed.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.packages = place / "site-packages"
        self.packages.mkdir()
        self.made: list[str] = []

    def install(self, name: str, text: str = "") -> None:
        """The same as `write`, of an installed package."""
        self.write(name, text, self.packages)

    def write(self, name: str, text: str, place: Path | None = None) -> None:
        """A module that notes each import of it."""
        note = f"""
            import os
            with open({str(self.place / name)!r}, "a") as notes:
                notes.write(f"{{os.getpid()}}\\n")
        """
        text = textwrap.dedent(note) + textwrap.dedent(text)
        ((place or self.place) / f"{name}.py").write_text(text)
        self.made.append(name)

    def load(self, name: str) -> ModuleType:
        """The module, imported here, which is not counted."""
        module = importlib.import_module(name)
        for each in self.made:
            (self.place / each).unlink(missing_ok=True)
        return module

    def imports(self, name: str) -> int:
        """How many processes have imported it since."""
        return len(set(self.notes(name)))

    def notes(self, name: str) -> list[str]:
        """Of each import since, the process."""
        notes = self.place / name
        return notes.read_text().split() if notes.exists() else []


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Modules]:
    made = Modules(tmp_path)
    monkeypatch.syspath_prepend(made.packages)
    monkeypatch.syspath_prepend(tmp_path)
    yield made
    for name in made.made:
        sys.modules.pop(name, None)


def results(functor: Any, **options: Any) -> list[Any]:
    """What four workers give, of some items each."""
    segment = mp.Transform(functor)
    pline = mp.PipeLine()
    pline.add(mp.Source(range(10 * WORKERS)))
    pline.add(segment, n_processes=WORKERS)
    pline.build()
    return list(pline.run(**options))


FUNCTOR = """
    import slow_import

    class Functor:
        def local_init(self):
            import lazy_import

        def run(self, item):
            return item
"""


@pytest.fixture
def functor(modules: Modules) -> Any:
    """Its module imports another one, and its `local_init` a third one."""
    modules.install("slow_import")
    modules.install("lazy_import")
    modules.write("functor_module", FUNCTOR)
    return modules.load("functor_module").Functor()


def test_what_the_module_of_a_functor_imports_is_imported_once(
    modules: Modules, functor: Any
) -> None:
    assert sorted(results(functor)) == list(range(10 * WORKERS))
    assert modules.imports("slow_import") == 1
    assert modules.imports("functor_module") == modules.imports("lazy_import") == WORKERS


def test_what_local_init_imports_is_imported_once_if_it_is_said(
    modules: Modules, functor: Any
) -> None:
    results(functor, preload=["lazy_import"])
    assert modules.imports("slow_import") == modules.imports("lazy_import") == 1


def test_it_is_imported_in_all_zygotes_if_no_functor_has_a_local_init(modules: Modules) -> None:
    modules.install("lazy_import")
    modules.load("lazy_import")

    def work(item: int) -> bool:
        import lazy_import

        return bool(lazy_import)

    assert set(results(work, preload=["lazy_import"])) == {True}
    # That of the Source, too: the environments of one worker and of several differ.
    assert modules.imports("lazy_import") == 2


def test_each_worker_imports_what_it_needs_if_that_is_wished(
    modules: Modules, functor: Any
) -> None:
    results(functor, preload=False)
    assert modules.imports("slow_import") == modules.imports("lazy_import") == WORKERS


def test_modules_that_a_function_of_the_script_refers_to_are_imported_once(
    modules: Modules,
) -> None:
    modules.install("slow_import", "value = 1")
    module = modules.load("slow_import")
    assert set(results(lambda item: module.value)) == {1}
    assert modules.imports("slow_import") == 1


def test_a_replacement_has_them_too(modules: Modules, tmp_path: Path) -> None:
    modules.install("slow_import")
    modules.write(
        "functor_module",
        f"""
        import slow_import
        from pathlib import Path

        def work(item):
            if item == 5 and not Path({str(tmp_path / "died")!r}).exists():
                Path({str(tmp_path / "died")!r}).touch()
                os._exit(1)
            return item
        """,
    )
    assert sorted(results(modules.load("functor_module").work)) == list(range(10 * WORKERS))
    assert modules.imports("slow_import") == 1


# ------------------------------------------------------------------ how long it takes
def test_it_is_no_part_of_anybodys_start_and_is_said_if_it_takes_long(
    modules: Modules,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    modules.install("slow_import")
    modules.load("slow_import")
    slow = modules.packages / "slow_import.py"
    slow.write_text(f"{slow.read_text()}\nimport time\ntime.sleep(8)")
    modules.write("functor_module", "import slow_import\ndef work(item): return item")
    work = modules.load("functor_module").work
    monkeypatch.setattr(timeouts, "FIRST_STALL_S", 2.0)
    pline = mp.PipeLine([mp.Source(range(3))])
    pline.add(mp.Transform(lambda item: item, "light", start_timeout_s=5))
    pline.add(mp.Transform(work, "slow"))
    assert list(pline) == [0, 1, 2]
    assert "now the module 'slow_import', for worker" in caplog.text
    assert f'File "{slow}", line' in capfd.readouterr().err


# ------------------------------------------------------------------ what cannot be shared
THREAD = """
    import threading
    import queue

    tasks, answers = queue.SimpleQueue(), queue.SimpleQueue()

    def serve():
        while True:
            answers.put(tasks.get())

    threading.Thread(target=serve, daemon=True).start()

    def work(item):
        tasks.put(item)
        return answers.get(timeout=60)
"""
FILE = """
    file = open(__file__)

    def work(item):
        file.seek(0)
        return item
"""
HANDLER = """
    import signal

    signal.signal(signal.SIGUSR1, lambda number, frame: None)
    handler = signal.getsignal(signal.SIGUSR1)

    def work(item):
        assert signal.getsignal(signal.SIGUSR1) is handler
        return item
"""
PATH = """
    import sys

    sys.path.append("/somewhere/else")

    def work(item):
        assert "/somewhere/else" in sys.path
        return item
"""
DIRECTORY = """
    os.chdir("/")

    def work(item):
        assert os.getcwd() == "/"
        return item
"""
TEMPORARY = """
    import tempfile

    place = tempfile.TemporaryDirectory()

    def work(item):
        assert os.path.isdir(place.name)
        return item
"""
HANDLERS = """
    import atexit, shutil, tempfile

    place = tempfile.mkdtemp(dir=os.path.dirname(__file__))
    atexit.register(lambda: shutil.rmtree(place))

    def work(item):
        assert os.path.isdir(place)
        return item
"""
DELETED = """
    class Once:
        def __init__(self):
            self.is_there = True

        def __del__(self):
            self.is_there = False

    once = Once()

    def work(item):
        assert once.is_there
        return item
"""
UNSHARED = {
    "what is deleted": (DELETED, "it has made a Once, whose __del__ each worker would call"),
    "a temporary directory": (TEMPORARY, "it has changed the finalizers of its process"),
    "an exit handler": (HANDLERS, "it has exit handlers"),
    "a thread": (THREAD, "it has started the thread"),
    "an open file": (FILE, "it has changed the open files of its process"),
    "a signal handler": (HANDLER, "it has changed the signal handlers of its process"),
    "a longer path": (PATH, "it has changed the sys.path of its process"),
}


OF_USERS = ("what is deleted", "an exit handler")  # what libraries have for themselves


@pytest.mark.parametrize("kind", [kind for kind in UNSHARED if kind not in OF_USERS])
def test_a_module_that_workers_cannot_share_is_imported_by_each(
    kind: str, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules.install("unshared", UNSHARED[kind][0])
    work_with(modules, monkeypatch)
    # Once in vain, by the zygote, whose process is the same in its second attempt.
    assert modules.imports("unshared") == 1 + WORKERS


@pytest.mark.parametrize("kind", UNSHARED)
def test_modules_of_the_users_are_imported_by_each_whatever_they_do(
    kind: str, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules.write("unshared", UNSHARED[kind][0])
    work_with(modules, monkeypatch)
    assert modules.imports("unshared") == WORKERS


def work_with(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the functor of the module `unshared`, beside one that can be shared."""
    modules.install("other_import")
    work = here(modules, "unshared", monkeypatch).work
    modules.write("functor_module", "import other_import\ndef pass_on(item): return item")
    pass_on = modules.load("functor_module").pass_on
    pline = mp.PipeLine()
    pline.add(mp.Source(range(10 * WORKERS)))
    pline.add(mp.Transform(work), n_processes=WORKERS)
    pline.add(mp.Transform(pass_on), n_processes=WORKERS)
    pline.build()
    assert sorted(pline.run()) == list(range(10 * WORKERS))
    assert modules.imports("other_import") == 1


def test_after_the_second_one_nothing_is_imported_beforehand(
    modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    unshared = [f"unshared_{i}" for i in range(4)]
    for name in ("other_import", *unshared):
        modules.install(name, FILE if name in unshared else "")
    names = ", ".join(unshared)
    modules.write(
        "functor_module",
        f"""
        import other_import, {names}

        def work(item):
            return [module.work(item) for module in ({names})][0]
        """,
    )
    work = modules.load("functor_module").work
    for name in unshared:
        sys.modules[name].file.close()
    assert sorted(results(work)) == list(range(10 * WORKERS))
    assert len(modules.notes("other_import")) == 2 + WORKERS
    assert [len(modules.notes(name)) - WORKERS for name in unshared] == [1, 1, 0, 0]


def test_what_a_module_of_the_users_asks_at_its_import_is_its_workers(modules: Modules) -> None:
    modules.write(
        "functor_module",
        """
        import random
        import minipipe as mp

        INFO, PID, DRAWN = mp.get_worker_info(), os.getpid(), random.random()

        def work(item):
            return INFO is not None and INFO.id, PID == os.getpid(), DRAWN
        """,
    )
    found = set(results(modules.load("functor_module").work))
    assert {is_its_own for _, is_its_own, _ in found} == {True}
    assert len({ident for ident, _, _ in found}) == len({drawn for _, _, drawn in found}) > 1


COMPUTED = """
    import torch

    torch.set_num_threads(2)
    mean = torch.ones(3, 224, 224).mean()

    def work(item):
        return float(torch.ones(3, 224, 224).mean())
"""


def test_what_has_computed_with_torch_is_not_forked(modules: Modules) -> None:
    pytest.importorskip("torch")
    modules.install("computed", COMPUTED)
    work = modules.load("computed").work
    pline = mp.PipeLine([mp.Source(range(3)), mp.Transform(work, timeout_s=60, restart=False)])
    assert list(pline) == [1.0] * 3
    with pytest.raises(mp.StartError, match="it has computed something in threads"):
        pline.run(preload=["computed"])
        list(pline)


def here(modules: Modules, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module, imported here without what it does to a process."""
    with monkeypatch.context() as patch:
        patch.setattr("signal.signal", lambda *args: None)
        patch.setattr("threading.Thread.start", lambda self: None)
        patch.setattr("atexit.register", lambda function: function)
        patch.setattr(sys, "path", list(sys.path))
        module = modules.load(name)
    for thing in vars(module).values():
        if hasattr(thing, "fileno"):
            thing.close()
        if isinstance(thing, tempfile.TemporaryDirectory):
            thing.cleanup()
    return module


@pytest.mark.parametrize("kind", UNSHARED)
def test_if_the_user_has_named_it_that_is_an_error_which_says_why(
    kind: str, modules: Modules
) -> None:
    text, why = UNSHARED[kind]
    modules.write("unshared", text)
    with pytest.raises(mp.StartError, match=f"^'unshared' of preload= cannot .* forked: {why}"):
        results(lambda item: item, preload=["unshared"])


@pytest.mark.parametrize("where", ("rng", "holder"))
def test_a_module_with_random_numbers_of_its_own_does_not_give_all_workers_the_same(
    where: str, modules: Modules
) -> None:
    modules.write(
        "functor_module",
        """
        import numpy as np

        class Holder:
            def __init__(self):
                self.inner = np.random.default_rng()

        rng, holder = np.random.default_rng(), Holder()
        """
        + ("del holder" if where == "rng" else "rng = None")
        + """

        def work(item):
            return os.getpid(), (rng or holder.inner).integers(2**60)
        """,
    )
    drawn: dict[int, list[int]] = {}
    for pid, number in results(modules.load("functor_module").work):
        drawn.setdefault(pid, []).append(number)
    assert len(drawn) > 1
    assert len({numbers[0] for numbers in drawn.values()}) == len(drawn)


def test_no_code_of_a_modules_objects_runs_when_workers_may_share_it(
    modules: Modules, capfd: pytest.CaptureFixture[str]
) -> None:
    modules.install(
        "touchy",
        """
        class Old:
            def __getattribute__(self, name):
                print("asked for", name)
                raise RuntimeError(name)

        old = Old()

        def double(item):
            return 2 * item
        """,
    )
    touchy = modules.load("touchy")
    assert sorted(results(touchy.double)) == [2 * i for i in range(10 * WORKERS)]
    assert modules.imports("touchy") == 1
    assert "asked for" not in capfd.readouterr().out


def test_what_must_not_be_imported_before_a_fork_is_not(modules: Modules) -> None:
    modules.install("jax")
    modules.write(
        "functor_module",
        """
        try:
            import jax
        except ImportError:
            jax = None

        def work(item):
            return jax is not None
        """,
    )
    assert set(results(modules.load("functor_module").work)) == {True}
    assert modules.imports("jax") == WORKERS
    with pytest.raises(mp.StartError, match="imports jax, which does not survive a fork"):
        results(lambda item: item, preload=["jax"])


# ------------------------------------------------------------------------- errors
def test_a_module_that_is_not_there_is_told_before_anything_starts() -> None:
    pline = mp.PipeLine([mp.Source([1]), mp.Sink(print)])
    with pytest.raises(mp.StartError, match=r"names 'not_there\.at_all', and there is no module"):
        pline.run(preload=["not_there.at_all"])


@pytest.mark.parametrize(
    ("text", "said"),
    (
        ("import not_there", "ModuleNotFoundError: No module named 'not_there'"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ),
)
def test_what_its_import_raises_is_in_the_error(text: str, said: str, modules: Modules) -> None:
    modules.install("broken", text)
    with pytest.raises(mp.StartError, match=f"^'broken' of preload= cannot be imported: {said}"):
        results(lambda item: item, preload=["broken"])


def test_a_functor_whose_module_fails_in_a_worker_says_so_as_ever(
    modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOT_IN_WORKERS", "1")
    modules.write(
        "functor_module",
        """
        if "NOT_IN_WORKERS" not in os.environ:
            raise RuntimeError("not here")

        def work(item):
            return item
        """,
    )
    work = modules.load("functor_module").work
    monkeypatch.delenv("NOT_IN_WORKERS")
    assert sorted(results(work)) == list(range(10 * WORKERS))  # by fork, as it cannot be loaded


def test_what_is_printed_at_import_comes_out_here_once(
    modules: Modules, capsys: pytest.CaptureFixture[str]
) -> None:
    modules.install("functor_module", "print('importing')\ndef work(item): return item")
    work = modules.load("functor_module").work
    capsys.readouterr()
    results(work)
    assert capsys.readouterr().out == "importing\n"


@pytest.mark.parametrize("wrong", ("torch", ["torch, numpy"], [1], 3, None))
def test_what_is_no_list_of_modules_is_refused(wrong: Any) -> None:
    with pytest.raises(mp.OptionError, match="preload of run is a list of the names of modules"):
        mp.PipeLine([mp.Source([1]), mp.Sink(print)]).run(preload=wrong)


# ---------------------------------------------------------------------- libraries
@pytest.mark.parametrize(
    ("library", "use"),
    (
        ("sklearn.linear_model", "LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]).coef_[0]"),
        ("torch", "nn.Linear(64, 1)(torch.ones(2000, 64)).sum().backward() or 1.0"),
        ("pandas", "DataFrame({'a': [1.0]}).a.sum()"),
    ),
)
def test_libraries_work_in_workers_that_were_forked_with_them(library: str, use: str) -> None:
    pytest.importorskip(library)

    class Functor:
        def local_init(self) -> None:
            self.was_there = library in sys.modules

        def run(self, item: int) -> tuple[bool, float]:
            module = importlib.import_module(library)
            top = library.partition(".")[0]
            names = {top: importlib.import_module(top)}
            return self.was_there, float(eval(f"module.{use}", {"module": module, **names}))

    found = results(Functor(), preload=[library])
    assert {(was_there, round(value, 6)) for was_there, value in found} == {(True, 1.0)}
