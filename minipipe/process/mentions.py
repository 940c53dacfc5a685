"""Which modules a functor imports once it is called, as its code says.

What it does is looked into as far as it can be reached without running any of it: its methods, the
functions that those name, and what these name. A name that is not found there, and what is made
of text, is not seen.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Collection, Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

MOST = 200  # functions and classes that are looked into: some 2 ms


_WITH_CODE = (
    *(type, FunctionType, MethodType, staticmethod, classmethod, property),
    *(functools.partial, functools.partialmethod, functools.cached_property),
)
# Those that `type` has, past a metaclass.
_BASES, _CONTENTS = (vars(type)[name].__get__ for name in ("__mro__", "__dict__"))


def mentions(functor: object, modules: Collection[str]) -> bool:
    """Whether the code of a functor names one of these modules, in an import or otherwise.

    Args:
        modules: Names of top modules.
    """
    waiting, seen = deque([functor]), dict[int, object]()
    while waiting and len(seen) < MOST:
        value = waiting.popleft()  # the nearest first
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if type(value) is FunctionType:
            names = set(_names_in(value.__code__))
            if any(name.partition(".")[0] in modules for name in names):
                return True
            waiting.extend(filter(_has_code, _named(value, names)))
        else:
            waiting.extend(_parts(value))
    return False


def _has_code(value: object) -> bool:
    # Not by isinstance, which asks the value for its class: a proxy may not have one yet.
    return issubclass(type(value), _WITH_CODE)


def _names_in(code: CodeType) -> Iterator[str]:
    """Those of globals, attributes and modules, also in functions within."""
    yield from code.co_names
    for constant in code.co_consts:
        if type(constant) is CodeType:
            yield from _names_in(constant)


def _named(function: FunctionType, names: Collection[str]) -> Iterator[object]:
    """What a function refers to: globals, attributes of modules, what it encloses."""
    fields = function.__globals__
    for name in names:
        value = fields.get(name)
        yield value
        if issubclass(type(value), ModuleType):
            yield from map(_fields_of(value).get, names)
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue  # it is empty
    yield vars(function).get("__wrapped__")


def _parts(value: Any) -> Iterator[object]:
    """What there is to be looked into of something that is no function."""
    kind = type(value)
    if issubclass(kind, type):
        for base in _BASES(value):
            yield from filter(_has_code, _CONTENTS(base).values())
    elif issubclass(kind, MethodType):
        yield from (value.__func__, value.__self__)
    elif issubclass(kind, staticmethod | classmethod):
        yield value.__func__
    elif issubclass(kind, property):
        yield from filter(_has_code, (value.fget, value.fset))
    elif issubclass(kind, functools.partial | functools.partialmethod):
        yield value.func
        yield from filter(_has_code, (*value.args, *value.keywords.values()))
    elif issubclass(kind, functools.cached_property):
        yield value.func
    else:
        yield kind
        yield from filter(_has_code, _fields_of(value).values())


def _fields_of(value: object) -> dict[str, object]:
    """What it holds, past what it does when it is asked for that."""
    try:
        fields: dict[str, object] = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return fields if type(fields) is dict else {}
