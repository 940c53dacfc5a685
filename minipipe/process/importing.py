"""Modules that are being imported: what they run on the way must not run again in each worker."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from cloudpickle import cloudpickle

from minipipe.errors import LifecycleError

_for_worker = 0


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
    """Sees that no worker is importing a module just now.

    Raises:
        LifecycleError: the module starts a pipeline when it is imported, so that the workers of
            that one would import it, and so on.
    """
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
