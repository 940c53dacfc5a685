"""What cloudpickle would take apart so that something else arrives, or nothing.

Each of these is taken apart here in another way, or refused with what to do instead.
"""

from __future__ import annotations

import functools
import importlib
import io
import operator
import sys
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType
from typing import Any, NamedTuple

from cloudpickle import cloudpickle

from minipipe.codec import tensors
from minipipe.codec.wire import RefusedError

Reduced = tuple[Any, ...]

being_defined: set[type] = set()
"""Classes whose definitions are being written just now, one inside the other."""


def reduce(obj: Any) -> Reduced | None:
    """Returns how pickle shall take an object apart, or None for what cloudpickle does well.

    Raises:
        RefusedError: It would arrive as something else.
    """
    kind = type(obj)
    if issubclass(kind, type):
        return _class(obj)
    if kind is FunctionType:
        return _function(obj)
    if kind is functools.cached_property:
        # Before Python 3.12 it has a lock.
        return _cached_property, (obj.func, obj.attrname)
    if kind is memoryview:
        raise RefusedError("pickle would make bytes of a memoryview: send bytes(view)")
    if issubclass(kind, io.TextIOWrapper) and obj not in (sys.stdout, sys.stderr):
        raise RefusedError(
            "pickle would make a StringIO of an open text file: send its path, to be opened "
            "by who reads it, or what is in it (file.read())"
        )
    # torch would write the whole storage, copying it three times.
    return tensors.reduce(obj)


def _class(cls: Any) -> Reduced | None:
    generic = _parametrised(cls)
    if generic is not None:
        return generic
    own = vars(cls)
    if "__slots__" not in own:
        return None
    reduced: Any = cloudpickle._class_reduce(cls)
    if reduced is NotImplemented or reduced[0] is not cloudpickle._make_skeleton_class:
        return None  # known by name, or an Enum
    # cloudpickle sets `__slots__` when the class is there, which then has none, so what arrives
    # keeps its attributes in a `__dict__`, which the class at home does not have.
    slots = [name for name, member in own.items() if _is_slot(cls, name, member)]
    make, (kind, name, bases, namespace, *rest), (state, more), *others = reduced
    if NamedTuple in bases:
        return None  # which sees to that itself
    namespace = {**namespace, "__slots__": tuple(slots)}
    state = {name: value for name, value in state.items() if name not in slots}
    return make, (kind, name, bases, namespace, *rest), (state, more), *others


def _is_slot(cls: type, name: str, member: object) -> bool:
    if isinstance(member, MemberDescriptorType):
        return member.__objclass__ is cls and member.__name__ == name
    return name in ("__dict__", "__weakref__") and isinstance(member, GetSetDescriptorType)


def _parametrised(cls: Any) -> Reduced | None:
    """Returns how a class that is a generic one with arguments (`Model[int]`) is asked for.

    Who has it by its definition would have another class than `Model[int]` is there. That of which
    it was made stands in the class, by the name that pydantic has given to it.
    """
    made = vars(cls).get("__pydantic_generic_metadata__")
    if not isinstance(made, dict) or not made.get("args") or made.get("origin") in (None, cls):
        return None
    origin, args = made["origin"], made["args"]
    if origin in being_defined:
        return None  # of which there is nothing yet, where this is read
    args = args[0] if len(args) == 1 else args
    return (operator.getitem, (origin, args)) if origin[args] is cls else None


def _function(function: FunctionType) -> Reduced | None:
    """Returns how the function of a class method is found that can be imported.

    Its name leads to a method, and cloudpickle would take the function itself apart: a
    `NamedTuple` that is also `Generic` has one of `typing`.
    """
    if function.__module__ == "__main__" or "<" in function.__qualname__:
        return None
    module = sys.modules.get(function.__module__)
    try:
        found: Any = functools.reduce(getattr, function.__qualname__.split("."), module)
    except AttributeError:
        return None
    if not isinstance(found, MethodType) or found.__func__ is not function:
        return None
    return _function_named, (function.__module__, function.__qualname__)


def _function_named(module: str, qualname: str) -> Any:
    found = functools.reduce(getattr, qualname.split("."), importlib.import_module(module))
    return found.__func__


def _cached_property(function: Any, name: str | None) -> Any:
    made: Any = functools.cached_property(function)
    if name is not None:
        made.attrname = name
    return made
