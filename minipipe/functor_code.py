"""What can be seen of a functor before it is called: what kind of function it is."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from minipipe.errors import BuildError
from minipipe.functor import is_made_in_worker


def called(functor: Any) -> Any:
    """The function that a worker's call comes to, as far as that can be seen; else the functor."""
    found: Any = functor
    for _ in range(100):  # partials of methods of partials: they end, or something odd goes on
        if isinstance(found, functools.partial):
            found = found.func
        elif inspect.ismethod(found):
            found = found.__func__
        elif is_made_in_worker(found):
            name = "run" if hasattr(found, "run") else "__call__"
            return inspect.getattr_static(found, name, found)
        elif callable(getattr(found, "run", None)):
            found = found.run
        elif inspect.isroutine(found) or isinstance(found, type):
            return found
        else:
            call = inspect.getattr_static(type(found), "__call__", None)
            return found if call is None else call
    return functor


def refuse_lazy(functor: Any, kind: str, where: str) -> None:
    """Refuses a functor whose call would run nothing of it: a generator, or an async, function.

    Args:
        kind: that of the segment; "flat map" for what gives several items for one.

    Raises:
        BuildError: it is one, and this kind of segment does not go through what it gives.
    """
    function = called(functor)
    name = getattr(function, "__qualname__", repr(function))
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise BuildError(
            f"the functor {name} of {where} is async, and nothing here awaits it: write a plain "
            "function, which may call asyncio.run"
        )
    if not inspect.isgeneratorfunction(function):
        return
    if kind == "sink":
        raise BuildError(
            f"the functor {name} of {where} is a generator function (it has a `yield`), so that "
            "nothing of it would run: a Sink's functor takes an item and gives nothing back"
        )
    if kind == "transform":
        raise BuildError(
            f"the functor {name} of {where} is a generator function (it has a `yield`): "
            "mp.FlatMap passes on each item that it yields for one, mp.Regulator is for "
            "coroutines (`item = yield`)"
        )
