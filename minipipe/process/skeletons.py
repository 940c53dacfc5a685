"""What cloudpickle leaves out of a class, or cannot take apart in one.

Each of these is taken apart here in another way.
"""

from __future__ import annotations

import functools
import importlib
import sys
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType
from typing import Any, NamedTuple

from cloudpickle import cloudpickle


def with_slots(
    cls: type, maker: Any, args: tuple[Any, ...], state: Any
) -> tuple[tuple[Any, ...], Any]:
    """Returns what a class is made of, slots among them.

    cloudpickle sets `__slots__` when the class is there, which then has none: what arrives keeps
    its attributes in a `__dict__`, which the class at home does not have.

    Args:
        cls: Of which cloudpickle has given the rest.
        maker: What makes an empty one.
        args: Of the maker.
        state: What the empty one is given then.
    """
    own = vars(cls)
    if maker is not cloudpickle._make_skeleton_class or "__slots__" not in own:
        return args, state
    kind, name, bases, namespace, *rest = args
    if NamedTuple in bases:
        return args, state  # which sees to that itself
    slots = [name for name, member in own.items() if _is_slot(cls, name, member)]
    namespace = {**namespace, "__slots__": tuple(slots)}
    contents, more = state
    contents = {name: value for name, value in contents.items() if name not in slots}
    return (kind, name, bases, namespace, *rest), (contents, more)


def _is_slot(cls: type, name: str, member: object) -> bool:
    if isinstance(member, MemberDescriptorType):
        return member.__objclass__ is cls and member.__name__ == name
    return name in ("__dict__", "__weakref__") and isinstance(member, GetSetDescriptorType)


def in_a_class(obj: Any) -> tuple[Any, ...] | None:
    """Returns how to take apart what classes hold and cloudpickle cannot; None for all else."""
    if type(obj) is functools.cached_property:
        # Before Python 3.12 it has a lock.
        return _cached_property, (obj.func, obj.attrname)
    if type(obj) is FunctionType:
        return _function_of_a_method(obj)
    return None


def _cached_property(function: Any, name: str | None) -> Any:
    made: Any = functools.cached_property(function)
    if name is not None:
        made.attrname = name
    return made


def _function_of_a_method(function: FunctionType) -> tuple[Any, ...] | None:
    """Returns how the function of a class method is found that can be imported.

    Its name leads to a method, and cloudpickle would take the function itself apart: a
    `NamedTuple` that is also `Generic` has one of `typing`.
    """
    if function.__module__ == "__main__" or "<" in function.__qualname__:
        return None
    try:
        module = sys.modules[function.__module__]
        found: Any = functools.reduce(getattr, function.__qualname__.split("."), module)
    except (AttributeError, KeyError):
        return None
    if not isinstance(found, MethodType) or found.__func__ is not function:
        return None
    return _function_named, (function.__module__, function.__qualname__)


def _function_named(module: str, qualname: str) -> Any:
    found = functools.reduce(getattr, qualname.split("."), importlib.import_module(module))
    return found.__func__
