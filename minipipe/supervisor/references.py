"""What a functor refers to, and by which way: attributes, closures, globals, items."""

from __future__ import annotations

import functools
import itertools
import time
from collections import deque
from collections.abc import Iterator, Mapping
from gc import get_referents
from types import FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any

from cloudpickle import cloudpickle

from minipipe.process.describe import in_a_line
from minipipe.protocol.frozen import frozen
from minipipe.supervisor.pickling import dump
from minipipe.worker.spec import Task

_MOST_ITEMS = 1000  # of one container that are looked at
_MOST_OBJECTS = 20_000
_PATIENCE_S = 2.0
_LEAVES = (str, bytes, bytearray, int, float, complex, bool, type(None), ModuleType)
_ITERATORS = ("builtins", "itertools")

Step = tuple[str, Any]


@frozen
class Reference:
    """Something that a functor refers to."""

    path: tuple[str, ...]
    value: Any

    def __str__(self) -> str:
        where = " of ".join(reversed(self.path)) or "itself"
        return f"{where}, {_kind(self.value)}"


def references(task: Task) -> Iterator[Reference]:
    """Everything that it refers to, the nearest first, as far as that can be seen."""
    waiting: deque[Reference] = deque(Reference((name,), value) for name, value in _roots(task))
    seen: dict[int, Any] = {}  # with the values, or their numbers would be given to others
    while waiting and len(seen) < _MOST_OBJECTS:
        reference = waiting.popleft()
        if id(reference.value) in seen or isinstance(reference.value, _LEAVES):
            continue
        seen[id(reference.value)] = reference.value
        yield reference
        for step, value in _children(reference.value):
            waiting.append(Reference((*reference.path, step), value))


def unpicklable(task: Task) -> str | None:
    """What it is, deep inside, that cannot be pickled, and why; None if that cannot be seen."""
    until_s = time.monotonic() + _PATIENCE_S
    found: Reference | None = None
    why = ""
    seen: dict[int, Any] = {}
    steps = _roots(task)
    path: tuple[str, ...] = ()
    while time.monotonic() < until_s:
        for step, value in steps:
            if id(value) in seen or isinstance(value, _LEAVES):
                continue
            seen[id(value)] = value
            error = _fails(value)
            if error is not None:
                path = (*path, step)
                found, why = Reference(path, value), in_a_line(error)
                # A generator that has begun cannot be, whatever it refers to.
                steps = iter(()) if isinstance(value, GeneratorType) else _children(value)
                break
            if time.monotonic() > until_s:
                break
        else:
            break  # all that it refers to can be pickled: it is this one itself
    return None if found is None else f"{found}: {why}"


def _fails(value: Any) -> Exception | None:
    try:
        dump(value, lambda buffer: False)
    except Exception as error:  # whatever a __reduce__ of the user's or a library's may raise
        return error
    return None


def _roots(task: Task) -> Iterator[Step]:
    yield "the functor", task.functor
    yield "worker_init", task.worker_init
    yield "init_kwargs", task.init_kwargs
    yield "the term flag", task.term_flag
    yield "ignore_exceptions", task.ignored


def _children(value: Any) -> Iterator[Step]:
    """What a value refers to; of what has a name in a module that can be imported, nothing."""
    kind = type(value)
    if isinstance(value, FunctionType):
        if not cloudpickle._should_pickle_by_reference(value):
            yield from _of_function(value)
    elif isinstance(value, type):
        if not cloudpickle._should_pickle_by_reference(value):
            yield from ((f"its {name!r}", each) for name, each in list(vars(value).items()))
    elif isinstance(value, MethodType):
        yield "its object", value.__self__
        yield "its function", value.__func__
    elif isinstance(value, staticmethod | classmethod):
        yield "its function", value.__func__
    elif isinstance(value, functools.partial):
        yield "its function", value.func
        yield from ((f"its argument {i}", each) for i, each in enumerate(value.args))
        yield from ((f"its argument {name!r}", each) for name, each in value.keywords.items())
    elif isinstance(value, GeneratorType):
        if value.gi_frame is not None:
            variables = value.gi_frame.f_locals
            yield from ((f"its variable {name!r}", each) for name, each in variables.items())
    elif kind in (dict, list, tuple, set, frozenset, deque):
        yield from _of_container(value)
    elif isinstance(value, Iterator) and kind.__module__ in _ITERATORS:
        yield from (("what it iterates over", each) for each in get_referents(value))
    else:
        yield from _of_object(value)


def _of_function(function: FunctionType) -> Iterator[Step]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f"variable {name!r}", cell.cell_contents
        except ValueError:
            continue  # it has no value yet
    for name in cloudpickle._extract_code_globals(function.__code__):
        if name in function.__globals__:
            yield f"global {name!r}", function.__globals__[name]
    for value in function.__defaults__ or ():
        yield "its default", value
    for name, value in (function.__kwdefaults__ or {}).items():
        yield f"its default {name!r}", value
    yield from ((f"attribute {name!r}", value) for name, value in vars(function).items())


def _of_container(value: Any) -> Iterator[Step]:
    if isinstance(value, Mapping):
        for key, each in itertools.islice(value.items(), _MOST_ITEMS):
            yield f"item {key!r:.40}", each
    else:
        for i, each in enumerate(itertools.islice(value, _MOST_ITEMS)):
            yield f"item {i}", each


def _of_object(value: Any) -> Iterator[Step]:
    try:
        fields = list(object.__getattribute__(value, "__dict__").items())
    except AttributeError:
        fields = []
    yield from ((f"attribute {name!r}", each) for name, each in fields)
    for base in type(value).__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            try:
                yield f"attribute {name!r}", object.__getattribute__(value, name)
            except AttributeError:
                continue  # it has no value, or its name is another one
    for kind in (dict, list, tuple, set, frozenset):
        if isinstance(value, kind):
            yield from _of_container(value)


def _kind(value: Any) -> str:
    kind = type(value)
    name = getattr(value, "__qualname__", None)
    shown = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    return f"{name} (a {shown})" if isinstance(name, str) else f"a {shown}"
