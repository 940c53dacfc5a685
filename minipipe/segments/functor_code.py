"""What can be seen of a functor before it is called: what kind of function it is."""

from __future__ import annotations

import dis
import functools
import inspect
import queue
from collections import deque
from collections.abc import Iterator
from types import BuiltinMethodType, CodeType, MethodType, MethodWrapperType
from typing import Any

from minipipe.errors import BuildError
from minipipe.segments.functor import is_made_in_worker


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


# What changes the object that it is a method of, and tells nothing.
_LISTS = ("append", "extend", "insert", "remove", "clear")
_COLLECTING: dict[type, tuple[str, ...]] = {
    list: _LISTS,
    bytearray: _LISTS,
    deque: (*_LISTS, "appendleft", "extendleft"),
    set: ("add", "update", "discard", "remove", "clear"),
    dict: ("update", "clear", "__setitem__"),
    queue.SimpleQueue: ("put", "put_nowait"),
    queue.Queue: ("put", "put_nowait"),
}


def refuse_lost(functor: Any, where: str) -> None:
    """Refuses a functor that only fills a list, or the like, of the process that it is from.

    In a worker it would fill a copy, of which nobody ever sees anything.  (A proxy of a manager and
    a queue of multiprocessing are no such things: they lead home.)

    Raises:
        BuildError: it is one.
    """
    while isinstance(functor, functools.partial):
        functor = functor.func
    if not isinstance(functor, BuiltinMethodType | MethodWrapperType | MethodType):
        return
    for kind, names in _COLLECTING.items():
        owner, name = functor.__self__, functor.__name__
        if not isinstance(owner, kind) or name not in names:
            continue
        if isinstance(functor, MethodType) and functor.__func__ is not getattr(kind, name):
            continue  # a class of the user's has one in its place, which may do anything
        raise BuildError(
            f"the functor of {where} is the method {name} of a {type(owner).__name__} of this "
            "process, and a worker would fill a copy of its own, which is lost: use list(pline) "
            "without this segment, or an object that returns what it has gathered from local_term"
        )


def returns_nothing(functor: Any) -> bool:
    """Whether it is a function of Python code without any `return` of a value."""
    code = _code_of(functor)
    return code is not None and not any(_values_at(code, "RETURN_VALUE", "RETURN_CONST"))


def yields_nothing(functor: Any) -> bool:
    """Whether it is a coroutine function that takes items only: no `yield` of a value."""
    code = _code_of(functor)
    return code is not None and not any(_values_at(code, "YIELD_VALUE"))


def _code_of(functor: Any) -> CodeType | None:
    code = getattr(called(functor), "__code__", None)
    return code if isinstance(code, CodeType) else None


def _values_at(code: CodeType, *operations: str) -> Iterator[bool]:
    """For each of these operations, whether it has another value than None."""
    before: dis.Instruction | None = None
    for instruction in dis.get_instructions(code):
        if instruction.opname in operations:
            constant = instruction if instruction.opname == "RETURN_CONST" else before
            is_none = constant is not None and constant.opname.endswith("_CONST")
            yield not (is_none and constant is not None and constant.argval is None)
        before = instruction
