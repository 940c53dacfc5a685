"""A user's program, executed to find the pipeline in it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from minipipe.errors import UsageError, did_you_mean
from minipipe.pipeline.runnable import Runnable
from minipipe.process.importing import loading_for_command

# As multiprocessing calls a script in the processes that it spawns: not `__main__`, so that what
# stands under `if __name__ == "__main__":` does not run.  Functors travel to workers as those of
# a script do: by what they are, not by name.
NAME = "__mp_main__"
_replaced: list[ModuleType] = []  # the command's own `__main__` must not be collected


def load_pipeline(target: str, arguments: Sequence[str] = ()) -> Runnable:
    """The pipeline that `prog.py:pline` names; executes the file, but for its `__main__` part.

    Args:
        target: a file and a name in it; the name may be left out if there is one pipeline only.
        arguments: what the program finds in `sys.argv` behind its own name.

    Raises:
        UsageError: there is no such file, or no such pipeline in it.
        Exception: what the program raises.
    """
    path, name = split(target)
    return find(execute(path, arguments), path, name)


def split(target: str) -> tuple[str, str]:
    """The file and the name of `prog.py:pline`; the name may be empty."""
    path, colon, name = target.rpartition(":")
    if not colon or (not os.path.exists(path) and os.path.exists(target)):
        return target, ""
    return path, name


def execute(path: str, arguments: Sequence[str] = ()) -> ModuleType:
    """Executes a file as this process's program, under another name than `__main__`."""
    source = _read(path)
    path = os.path.abspath(path)
    module = ModuleType(NAME)
    module.__file__ = path
    vars(module)["__cached__"] = None
    if not sys.flags.safe_path:
        del sys.path[:1]  # where the command lies, or the current directory
    sys.path.insert(0, os.path.dirname(path))
    sys.argv[:] = [path, *arguments]
    _replaced.append(sys.modules["__main__"])
    sys.modules["__main__"] = sys.modules[NAME] = module
    with loading_for_command(path):
        exec(compile(source, path, "exec", dont_inherit=True), vars(module))
    return module


def _read(path: str) -> bytes:
    if path.endswith(".ipynb"):
        raise UsageError(f"{path} is a notebook: save what declares the pipeline as a Python file")
    try:
        with io.open_code(os.path.abspath(path)) as file:
            return file.read()
    except FileNotFoundError:
        raise UsageError(f"there is no file {path!r}{_files_near(path)}") from None
    except IsADirectoryError:
        raise UsageError(f"{path!r} is a directory: name a Python file") from None
    except OSError as error:
        raise UsageError(f"{path!r} cannot be read: {error.strerror or error}") from None


def _files_near(path: str) -> str:
    folder, name = os.path.split(path)
    try:
        names = [entry for entry in os.listdir(folder or ".") if entry.endswith(".py")]
    except OSError:
        return f" (nor a directory {folder!r})"
    if f"{name}.py" in names:
        return f"; did you mean {f'{name}.py'!r}?"
    if ":" not in path and name.endswith(".py"):
        return did_you_mean(name, names)
    return f"{did_you_mean(name, names)} (it is written prog.py:pline)"


def find(module: ModuleType, path: str, name: str) -> Runnable:
    """The pipeline of this name in a program, or the only one that it has.

    Raises:
        UsageError: there is none, or something else has the name.
    """
    offered = pipelines_in(vars(module))
    if not name:
        if len({id(pipeline) for pipeline in offered.values()}) == 1:
            return next(iter(offered.values()))
        raise UsageError(
            f"which pipeline of {path}? Write {path}:NAME ({_offer(path, offered)})"
            if offered
            else _nothing(path)
        )
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            near = did_you_mean(name, offered) or did_you_mean(name, vars(module))
            raise UsageError(f"{path} has no {name!r}{near} ({_offer(path, offered)})")
        found = getattr(found, part)
    if isinstance(found, Runnable):
        return found
    is_class = isinstance(found, type)
    what = f"the class {found.__name__}" if is_class else f"of type {type(found).__name__}"
    raise UsageError(
        f"{name!r} in {path} is no pipeline, it is {what}: a PipeLine or a PipeSystem can be run "
        f"({_offer(path, offered)})"
    )


def pipelines_in(names: dict[str, Any]) -> dict[str, Runnable]:
    """What of a program's names are pipelines."""
    return {name: value for name, value in names.items() if isinstance(value, Runnable)}


def _offer(path: str, offered: dict[str, Runnable]) -> str:
    if not offered:
        return f"{path} has no pipeline at its top level"
    return f"{path} has {', '.join(map(repr, offered))}"


def _nothing(path: str) -> str:
    return (
        f"{path} has no pipeline at its top level: one that is made in a function, or under "
        "`if __name__ == '__main__':`, is not there; write `pline = mp.PipeLine([...])` outside"
    )
