"""Modules that are being imported: what they run on the way must not run again in each worker."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType

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


def travel_by_value() -> None:
    """What modules define that are being imported now travels by definition, as that of a script.

    A worker would import them again, and run again what they are running.
    """
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        if isinstance(module, ModuleType) and getattr(spec, "_initializing", False):
            cloudpickle.register_pickle_by_value(module)
