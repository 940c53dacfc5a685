"""What only the script knows travels by value, and becomes part of the other side's `__main__`.

cloudpickle does so with functions and classes. What it leaves to be found by name, in a `__main__`
that is another one there, is taken apart here: cached functions, NewTypes, singletons. A worker's
`__main__` holds what came, under the names that it has in the script: so the script can load a
checkpoint that was pickled in a worker, and a pool that a functor starts finds its functions.
"""

from __future__ import annotations

import ast
import copyreg
import functools
import inspect
import pickle
import sys
import typing
from collections.abc import Callable, Mapping
from functools import reduce
from io import BytesIO
from types import FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from cloudpickle import cloudpickle

from minipipe.process import main_module
from minipipe.process.importing import travel_by_value_if_hidden
from minipipe.process.skeletons import in_a_class, with_slots

# Protocol 5 is understood by every Python that MiniPipe supports; a newer one need not be.
_PROTOCOL = 5
_REDUCE_EX: Any = object.__reduce_ex__
_REDUCE: Any = object.__reduce__
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement
_CACHED: type = type(functools.lru_cache(len))
_MAINS = ("__main__", "__mp_main__")  # the latter in a process that multiprocessing has spawned
_HINTS = [getattr(typing, name, None) for name in ("NewType", "ParamSpec", "TypeVarTuple")]


# ------------------------------------------------------------------ taking apart
def dumps(value: object) -> bytes:
    """Pickles a result, or what was raised."""
    with BytesIO() as file:
        Pickler(file, joins_main=False).dump(value)
        return file.getvalue()


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles by value what the other side cannot find under its name.

    Args:
        file: Takes the pickle.
        joins_main: What comes from `__main__` is put into the other side's; otherwise only its
            classes are the same there as those that came before.
        buffer_callback: As pickle's.
    """

    def __init__(
        self,
        file: BytesIO,
        *,
        joins_main: bool,
        buffer_callback: Callable[[pickle.PickleBuffer], object] | None = None,
    ) -> None:
        super().__init__(file, protocol=_PROTOCOL, buffer_callback=buffer_callback)
        self._joins_main = joins_main

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if issubclass(kind, type):
            return self._class(obj)
        held = in_a_class(obj)
        if held is not None:
            return held
        if kind is FunctionType:
            travel_by_value_if_hidden(obj.__module__)
            return super().reducer_override(obj)
        if kind is ModuleType:
            travel_by_value_if_hidden(obj.__name__)
            return NotImplemented
        if kind is _CACHED:
            return _cached(obj)
        if kind.__reduce_ex__ is _REDUCE_EX and kind.__reduce__ is _REDUCE:
            if not is_forwarding(kind) or kind in self.dispatch_table:
                return NotImplemented
            reduced = plain(obj)
            return NotImplemented if reduced is None else reduced
        if kind in self.dispatch_table:
            return NotImplemented
        reduced = obj.__reduce_ex__(_PROTOCOL)
        return self._named(obj, reduced) if isinstance(reduced, str) else reduced

    def _class(self, cls: type) -> Any:
        travel_by_value_if_hidden(cls.__module__)
        reduced = super().reducer_override(cls)
        if not isinstance(reduced, tuple) or len(reduced) != 6:
            return reduced
        maker, args, state = reduced[:3]
        args, state = with_slots(cls, maker, args, state)
        name = self._name_in_main(cls, cls.__qualname__)
        hints = _hints(inspect.get_annotations(cls), main_module.namespace()) if name else {}
        return _skeleton, (maker, *args), (name, hints, state), None, None, _settle_class

    def _dynamic_function_reduce(self, func: FunctionType) -> Any:
        maker, args, (fields, slots), *_ = super()._dynamic_function_reduce(func)
        if func.__globals__ is not main_module.namespace() or not self._joins_main:
            return maker, args, (fields, slots), None, None, cloudpickle._function_setstate
        code, _, *others = args
        name = self._name_in_main(func, func.__qualname__)
        slots["__globals__"] |= _hints(func.__annotations__, func.__globals__)
        state = name, fields, slots
        return maker, (code, main_module.NAMESPACE, *others), state, None, None, _settle_function

    def _named(self, obj: Any, name: str) -> Any:
        """How to take apart what would be looked up under its name."""
        module = pickle.whichmodule(obj, name)  # type: ignore[attr-defined]
        if _is_found(obj, module, name):
            return name
        kind = type(obj)
        if kind in _HINTS:
            args = (obj.__supertype__,) if hasattr(obj, "__supertype__") else ()
            return _hint, (kind, obj.__name__, obj.__module__, *args)
        if not _is_plain(kind):
            return name
        # Items, too, mean the one there.
        named = name if main_module.namespace().get(name) is obj else None
        return _single, (kind, named), obj.__getstate__(), None, None, _settle_single

    def _name_in_main(self, obj: Any, name: str) -> str | None:
        """The name under which the script has it, if it does."""
        return name if self._joins_main and main_module.namespace().get(name) is obj else None


def _is_found(obj: Any, module: str, name: str) -> bool:
    """Whether a worker finds it under this name in this module."""
    if module in _MAINS:
        return False
    travel_by_value_if_hidden(module)
    there = sys.modules.get(module)
    if there is None or cloudpickle._is_registered_pickle_by_value(there):
        return False
    try:
        return reduce(getattr, name.split("."), there) is obj
    except AttributeError:
        return False


def _cached(cached: Any) -> Any:
    """A function under `functools.cache` or `lru_cache`: its cache is empty on the other side."""
    name = cached.__qualname__
    if _is_found(cached, cached.__module__ or "", name):
        return NotImplemented
    own = {*functools.WRAPPER_ASSIGNMENTS, "__wrapped__", "cache_parameters", "__type_params__"}
    fields = {key: value for key, value in vars(cached).items() if key not in own}
    options = cached.cache_parameters()
    return _cache, (cached.__wrapped__, options["maxsize"], options["typed"]), fields or None


def _is_plain(kind: type) -> bool:
    """Whether its instances are no more than what stands in their `__dict__` and slots."""
    return all(base is object or base.__flags__ & _HEAP_TYPE for base in kind.__mro__)


def is_forwarding(kind: type) -> bool:
    """Whether loading one would ask it for attributes that it has not yet, and that for ever.

    (Pickle asks the empty object for `__setstate__`, its `__getattr__` for the attribute that it
    forwards to, and so on.)
    """
    found = _forwarding.get(kind)
    if found is None:
        names = {name for base in kind.__mro__[:-1] for name in vars(base)}
        own = names & {"__setstate__", "__getnewargs__", "__getnewargs_ex__"}
        found = _forwarding[kind] = "__getattr__" in names and not own and _is_plain(kind)
    return found


_forwarding: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def plain(obj: Any) -> tuple[Any, ...] | None:
    """How to take apart an object that is put together again without being asked, if it can be."""
    kind = type(obj)
    get_state: Any = kind.__getstate__
    state = get_state(obj)
    if not isinstance(state, dict | tuple):
        return None
    return copyreg.__newobj__, (kind,), state, None, None, _set_state  # type: ignore[attr-defined]


def _hints(annotations: Any, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """What annotations that are texts speak of: `get_type_hints` looks for it on the other side."""
    found: dict[str, Any] = {}
    for text in (annotations or {}).values():
        if not isinstance(text, str):
            continue
        try:
            nodes = list(ast.walk(ast.parse(text, mode="eval")))
        except (SyntaxError, ValueError):
            continue  # it is a text, and no hint
        for name in [node.id for node in nodes if isinstance(node, ast.Name)]:
            value = namespace.get(name)
            is_hint = isinstance(value, type | ModuleType) or type(value).__module__ == "typing"
            if is_hint:
                found[name] = value
    return found


# ------------------------------------------------------------------ putting together, by name
_skeletons: WeakSet[type] = WeakSet()  # classes that were made and have no contents yet
_singles: dict[int, Any] = {}  # singletons of which the same is true


def _skeleton(maker: Callable[..., type], *args: Any) -> type:
    known: type | None = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(args[-2])
    if known is not None:
        return known
    cls = maker(*args)
    _skeletons.add(cls)
    return cls


def _settle_class(cls: type, state: tuple[str | None, dict[str, Any], Any]) -> None:
    name, hints, contents = state
    if cls in _skeletons:
        # One that is known keeps what it has: it may be the script's own, or have counted.
        _skeletons.discard(cls)
        cloudpickle._class_setstate(cls, contents)
    main_module.join({**hints, name: cls} if name else hints)


def _settle_function(func: FunctionType, state: tuple[str | None, Any, dict[str, Any]]) -> None:
    name, fields, slots = state
    main_module.join(slots["__globals__"])
    cloudpickle._function_setstate(func, (fields, {**slots, "__globals__": {}}))
    if name:
        main_module.join({name: func})


def _cache(func: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    return functools.lru_cache(maxsize, typed)(func)


def _hint(kind: Any, name: str, module: str, *args: Any) -> Any:
    made: Any = kind(name, *args)
    made.__module__ = module
    return made


def _single(kind: type, name: str | None) -> Any:
    found = main_module.namespace().get(name) if name else None
    if found is not None and type(found) is kind:
        return found
    made: Any = object.__new__(kind)
    _singles[id(made)] = made
    if name:
        main_module.join({name: made})
    return made


def _settle_single(obj: Any, state: Any) -> None:
    if _singles.pop(id(obj), None) is obj:
        _set_state(obj, state)


def _set_state(obj: Any, state: Any) -> None:
    """Does what pickle does, without asking the object."""
    fields, slots = state if isinstance(state, tuple) else (state, None)
    if fields:
        object.__getattribute__(obj, "__dict__").update(fields)
    for name, value in (slots or {}).items():
        object.__setattr__(obj, name, value)
