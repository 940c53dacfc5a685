"""Modules that are being imported: what they run on the way must not run again in each worker."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from cloudpickle import cloudpickle

from minipipe.errors import LifecycleError

_for_worker = 0
_for_command = ""  # the file that a command loads just now


@contextlib.contextmanager
def loading_for_command(path: str) -> Iterator[None]:
    """In here a command executes the user's file, to find the pipeline in it."""
    global _for_command
    _for_command = path
    try:
        yield
    finally:
        _for_command = ""


@contextlib.contextmanager
def importing_for_worker() -> Iterator[None]:
    """In here a worker may import the user's modules."""
    global _for_worker
    _for_worker += 1
    try:
        yield
    finally:
        _for_worker -= 1


def check_no_import() -> None:
    """Sees that no worker is importing a module just now, and no command is loading one.

    Raises:
        LifecycleError: the module starts a pipeline when it is imported, so that the workers of
            that one would import it, and so on; or the command would never come to what it is for.
    """
    if _for_command:
        raise LifecycleError(
            f"{_for_command} starts a pipeline while the command minipipe loads it to find one: "
            "put that under `if __name__ == '__main__':`, or into a function"
        )
    if _for_worker:
        raise LifecycleError(
            "a module that a worker imports (for its functor, or for the class of an item) starts "
            "a pipeline while it is imported, which would go on for ever: put that under "
            "`if __name__ == '__main__':`, or into a function"
        )
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise LifecycleError(
            "the script starts a pipeline while a process that multiprocessing has spawned imports "
            "it: put that under `if __name__ == '__main__':`"
        )


def travel_by_value() -> None:
    """What modules define that are being imported now travels by definition, as that of a script.

    A worker would import them again, and run again what they are running.
    """
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        if isinstance(module, ModuleType) and getattr(spec, "_initializing", False):
            cloudpickle.register_pickle_by_value(module)


def travel_by_value_if_hidden(name: str | None) -> None:
    """What a module defines travels by definition if a worker cannot import it under its name.

    (It was loaded under a name that somebody made up, or from a directory that is not in `sys.path`
    any more; or it is the script, in a process that multiprocessing has spawned.)
    """
    module = sys.modules.get(name or "__main__")
    if name is None or not isinstance(module, ModuleType) or name == "__main__":
        return
    if _looked_for.get(name) is module and _looked_in == sys.path:
        return
    if _looked_in != sys.path:
        _looked_for.clear()
        _looked_in[:] = sys.path
    _looked_for[name] = module
    if not _worker_finds(name, module):
        cloudpickle.register_pickle_by_value(module)


_looked_for: dict[str, ModuleType] = {}
_looked_in: list[str] = []


def _worker_finds(name: str, module: ModuleType) -> bool:
    """Whether importing this name in a worker gives this module, from the same file."""
    top, _, _ = name.partition(".")
    if top in sys.builtin_module_names or top in sys.stdlib_module_names:
        return True
    spec: ModuleSpec | None = getattr(module, "__spec__", None)
    parent, _, _ = name.rpartition(".")
    path = None
    if parent:
        above = sys.modules.get(parent)
        if isinstance(above, ModuleType) and not _worker_finds(parent, above):
            return False
        path = getattr(above, "__path__", None)
        if path is None or spec is None or spec.origin is None or spec.name != name:
            return True  # importing the one above makes this one
    finders: list[Any] = [f for f in sys.meta_path if hasattr(f, "find_spec")]
    for finder in [PathFinder, *finders]:
        found = finder.find_spec(name, path)
        if found is not None and (spec is None or found.origin == spec.origin):
            return True
    return False


def modules_by_value() -> tuple[str, ...]:
    """Returns the modules, beside the script, of which pickles must not name anything.

    Those that are hidden are found by where they lie, which takes a microsecond a module; that is
    looked at when there are others than the last time.
    """
    global _by_value, _looked_at
    if (len(sys.modules), len(cloudpickle._PICKLE_BY_VALUE_MODULES)) != _looked_at:
        _look_for_hidden()
        above = cloudpickle.list_registry_pickle_by_value()
        tops = tuple(f"{name}." for name in above)
        found = {name for name in sys.modules if name in above or name.startswith(tops)}
        if getattr(sys.modules["__main__"], "__name__", "") == "__mp_main__":  # spawned
            found.add("__mp_main__")
        _by_value = tuple(found - {"__main__"})
        _looked_at = len(sys.modules), len(above)
    return _by_value


def _look_for_hidden() -> None:
    here = {*sys.path, os.getcwd()}
    for name, module in list(sys.modules.items()):
        origin = getattr(getattr(module, "__spec__", None), "origin", None) or ""
        folder = os.path.dirname(origin)
        if os.path.basename(origin) == "__init__.py":
            folder = os.path.dirname(folder)
        # Cython makes modules of its own, which all that it has compiled have in common.
        if "." not in name and folder not in here and not name.startswith(("_cython_", "cython_")):
            travel_by_value_if_hidden(name)


_by_value: tuple[str, ...] = ()
_looked_at = (0, 0)  # how many modules there were, and how many of them travel by value
