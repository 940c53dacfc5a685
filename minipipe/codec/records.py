"""Instances of the user's dataclasses, namedtuples and enums.

They are taken apart and put together by state, not through `__init__`: no code of the class runs.
A class that says itself how it wants to be pickled is pickled.
"""

from __future__ import annotations

import copyreg
import dataclasses
import enum
from types import MemberDescriptorType
from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

from minipipe.codec import wire
from minipipe.codec.nodes import NodeReader, NodeWriter, ReadNode, WriteNode
from minipipe.codec.wire import NotNativeError
from minipipe.errors import WireFormatError

_OWN_PICKLING = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs_ex__")


class _Shape(NamedTuple):
    """What kind of record the instances of a class are, and where their state is."""

    kind: Literal["dataclass", "namedtuple", "enum"] | None
    why_not: str = ""
    slots: tuple[tuple[str, int], ...] = ()
    """Their names, and at which place of the class's `__mro__` each is. (Not the descriptors, which
    hold the class, which would never be freed.)"""


_shapes: WeakKeyDictionary[type, _Shape] = WeakKeyDictionary()


def _shape_of(cls: type) -> _Shape:
    found = _shapes.get(cls)
    if found is None:
        found = _shapes[cls] = _look_at(cls)
    return found


def _look_at(cls: type) -> _Shape:
    if issubclass(cls, enum.Enum):
        return _Shape("enum")
    is_namedtuple = issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)
    if not is_namedtuple and not dataclasses.is_dataclass(cls):
        return _Shape(None, "its class has no form of its own")
    if cls in copyreg.dispatch_table or any(_defines(cls, name) for name in _OWN_PICKLING):
        return _Shape(None, "its class defines how it is pickled")
    try:
        # Refused where the instances hold more than attributes: a dataclass that is a dict, say.
        (tuple if is_namedtuple else object).__new__(cls)
    except TypeError:
        return _Shape(None, "its class is also one of Python's or of an extension")
    if is_namedtuple:
        return _Shape("namedtuple")
    slots = {
        name: place
        for place, base in reversed(list(enumerate(cls.__mro__)))
        for name, member in vars(base).items()
        if isinstance(member, MemberDescriptorType)
    }
    return _Shape("dataclass", slots=tuple(slots.items()))


def _slots_of(cls: type) -> dict[str, MemberDescriptorType]:
    return {name: vars(cls.__mro__[place])[name] for name, place in _shape_of(cls).slots}


def _defines(cls: type, name: str) -> bool:
    method = getattr(cls, name, None)
    if method is None or method is getattr(object, name, None):
        return False
    # dataclass(frozen=True, slots=True) adds a pair of these, to do what is done here.
    return getattr(method, "__module__", None) != "dataclasses"


def writer_for(kind: type) -> WriteNode | None:
    """Returns what writes the instances of a class, if they are records."""
    if issubclass(kind, enum.Flag):
        return _write_flag
    writers = {"dataclass": _write_dataclass, "namedtuple": _write_namedtuple, "enum": _write_enum}
    found = _shape_of(kind).kind
    return None if found is None else writers[found]


def why_not(kind: type) -> str:
    """Returns why the instances of a class are no records, as the end of a sentence."""
    return _shape_of(kind).why_not


def _write_dataclass(writer: NodeWriter, value: Any) -> list[object]:
    cls = type(value)
    state: dict[Any, object] = {**getattr(value, "__dict__", {})}
    for name, member in _slots_of(cls).items():
        try:
            state[name] = member.__get__(value, cls)
        except AttributeError:
            continue  # not set, and so it shall stay
    if not set(map(type, state)) <= {str}:
        raise NotNativeError("it has attributes whose names are not text")
    names = [writer.leaf(name) for name in state]
    return [wire.DATACLASS, writer.class_name(cls), names, writer.nodes(state.values())]


def _read_dataclass(reader: NodeReader, node: list[Any]) -> object:
    _, class_name, name_nodes, value_nodes = node
    cls = _class(reader, class_name, "dataclass")
    names = [reader.text(name) for name in reader.nodes(name_nodes)]
    slots = _slots_of(cls)
    value: Any = object.__new__(cls)
    attributes = getattr(value, "__dict__", None)
    for name, field in zip(names, reader.nodes(value_nodes), strict=True):
        member = slots.get(name)
        if member is not None:
            # Past __setattr__, which a frozen class forbids; and never into a property.
            member.__set__(value, field)
        elif attributes is not None:
            attributes[name] = field
        else:
            raise WireFormatError(f"{cls.__qualname__} has no attribute {name!r:.80} here")
    return value


def _write_namedtuple(writer: NodeWriter, value: Any) -> list[object]:
    if getattr(value, "__dict__", None):
        raise NotNativeError("it is a namedtuple with attributes")
    return [wire.NAMEDTUPLE, writer.class_name(type(value)), writer.nodes(value)]


def _read_namedtuple(reader: NodeReader, node: list[Any]) -> object:
    _, class_name, value_nodes = node
    cls = _class(reader, class_name, "namedtuple")
    values = reader.nodes(value_nodes)
    fields = cls._fields  # type: ignore[attr-defined]
    if len(values) != len(fields):
        raise WireFormatError(
            f"{cls.__qualname__} has {len(fields)} fields here and {len(values)} in the message"
        )
    return tuple.__new__(cls, values)


def _write_enum(writer: NodeWriter, value: enum.Enum) -> list[object]:
    cls = type(value)
    if cls.__members__.get(value.name) is not value:
        raise NotNativeError("it is no member of its Enum")
    return [wire.ENUM, writer.class_name(cls), writer.leaf(value.name)]


def _read_enum(reader: NodeReader, node: list[Any]) -> object:
    _, class_name, name_node = node
    cls: Any = _class(reader, class_name, "enum")
    name = reader.text(name_node)
    member = cls.__members__.get(name)
    if member is None:
        raise WireFormatError(f"{cls.__qualname__} has no member {name!r:.80} here")
    return member


def _write_flag(writer: NodeWriter, value: enum.Flag) -> list[object]:
    if type(value.value) is not int:
        raise NotNativeError("it is a Flag whose value is not an int")
    return [wire.FLAG, writer.class_name(type(value)), writer.leaf(value.value)]


def _read_flag(reader: NodeReader, node: list[Any]) -> object:
    _, class_name, value_node = node
    cls: Any = _class(reader, class_name, "enum")
    value = reader.node(value_node)
    if not issubclass(cls, enum.Flag) or type(value) is not int:
        raise WireFormatError(f"{cls.__qualname__} is no Flag here")
    return cls(value)


def _class(reader: NodeReader, name: Any, kind: str) -> type:
    cls = reader.class_named(name)
    if _shape_of(cls).kind != kind:
        raise WireFormatError(f"{cls.__module__}.{cls.__qualname__} is no {kind} here")
    return cls


READERS: dict[int, ReadNode] = {
    wire.DATACLASS: _read_dataclass,
    wire.NAMEDTUPLE: _read_namedtuple,
    wire.ENUM: _read_enum,
    wire.FLAG: _read_flag,
}
