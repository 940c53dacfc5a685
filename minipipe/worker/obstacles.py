"""What a module does to the process that imports it, and workers forked later cannot share."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np

from minipipe.codec import registry
from minipipe.worker.ending import is_users

# They run threads of their own as soon as they are imported, or forbid a fork from then on.
NO_FORK = frozenset({"jax", "jaxlib", "tensorflow", "grpc", "ray"})
_GENERATORS = (random.Random, np.random.Generator, np.random.RandomState)
# The global ones: each worker seeds them anew.
_SEEDED = (np.random.mtrand._rand, random._inst)
_HARMLESS = ("/dev/null", "/dev/urandom")


class Guard(MetaPathFinder):
    """Refuses what must not be imported here."""

    def __init__(self) -> None:
        self.met: str | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in NO_FORK:
            return None
        self.met = f"it imports {fullname}, which does not survive a fork"
        raise ImportError(self.met)


def obstacle(before: Mapping[str, Any], known: set[str]) -> str | None:
    """Why workers cannot share what was imported since; None: they can."""
    for thing, now in state().items():
        if now != before[thing]:
            return f"it has changed the {thing} of its process"
    threads = [t.name for t in threading.enumerate() if t is not threading.current_thread()]
    if threads:
        return f"it has started the thread {threads[0]!r}, which no worker would have"
    for library in registry.imported():
        why = library.fork_obstacle()
        if why is not None:
            return why
    for thing in gc.get_objects():
        kind = type(thing)
        if hasattr(kind, "__del__") and is_users(kind.__module__):
            return f"it has made a {kind.__name__}, whose __del__ each worker would call"
    for module in [name for name in list(sys.modules) if name not in known]:
        for where in _generators(module):
            return f"it has random numbers ({where}), which all workers would draw alike"
    return None


def state() -> dict[str, Any]:
    """What is one for a whole process, and what is not to be shared by several."""
    numbers = signal.valid_signals()
    return {
        "open files": _open_files(),
        "directory": os.getcwd() if os.path.isdir(".") else "",
        "finalizers": _finalizers(),
        "sys.path": list(sys.path),
        "signal handlers": [signal.getsignal(number) for number in sorted(numbers)],
    }


def _finalizers() -> int:
    """How many there are that are not a library's for itself."""
    known = weakref.finalize._registry.values()  # type: ignore[attr-defined]
    modules = [str(getattr(info.func, "__module__", "")) for info in known]
    own = sys.stdlib_module_names  # a temporary directory's, say
    return sum(is_users(name) or name.partition(".")[0] in own for name in modules)


def _open_files() -> set[str]:
    found = set()
    try:
        for fd in os.listdir("/proc/self/fd"):
            try:
                at = os.readlink(f"/proc/self/fd/{fd}")
            except FileNotFoundError:
                continue  # that of the list itself
            if at not in _HARMLESS:
                found.add(f"{fd} {at}")
    except OSError:
        pass  # no Linux
    return found


def _fields(value: object) -> Mapping[str, Any]:
    """What an object has, without running any code of its own: some warn when they are asked."""
    try:
        found: Mapping[str, Any] = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return found


def _generators(name: str) -> Iterator[str]:
    """Where a module keeps generators of random numbers: in itself, or in an object of its own."""
    module = sys.modules.get(name)
    for key, value in list(getattr(module, "__dict__", {}).items()):
        held: list[tuple[str, Any]] = [(key, value)]
        if getattr(type(value), "__module__", None) == name:
            held += [(f"{key}.{k}", v) for k, v in _fields(value).items()]
        for where, thing in held:
            kind = type(thing)
            if not issubclass(kind, _GENERATORS) or issubclass(kind, random.SystemRandom):
                continue
            if not any(thing is seeded for seeded in _SEEDED):
                yield f"{name}.{where}"
