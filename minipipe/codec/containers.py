"""The built-in containers."""

from __future__ import annotations

from typing import Any

from minipipe.codec import wire
from minipipe.codec.nodes import NodeReader, NodeWriter, ReadNode, WriteNode
from minipipe.errors import WireFormatError


def _write_list(writer: NodeWriter, value: list[object]) -> list[object]:
    return [wire.LIST, writer.nodes(value)]


def _read_list(reader: NodeReader, node: list[Any]) -> object:
    _, items = node
    return reader.nodes(items)


def _write_tuple(writer: NodeWriter, value: tuple[object, ...]) -> list[object]:
    return [wire.TUPLE, writer.nodes(value)]


def _read_tuple(reader: NodeReader, node: list[Any]) -> object:
    _, items = node
    return tuple(reader.nodes(items))


def _write_dict(writer: NodeWriter, value: dict[object, object]) -> list[object]:
    return [wire.DICT, writer.hashed(value.keys()), writer.nodes(value.values())]


def _read_dict(reader: NodeReader, node: list[Any]) -> object:
    _, key_nodes, value_nodes = node
    keys = reader.hashed(key_nodes)
    found = dict(zip(keys, reader.nodes(value_nodes), strict=True))
    if len(found) != len(keys):
        raise WireFormatError("a dict has the same key twice")
    return found


def _write_set(writer: NodeWriter, value: set[object]) -> list[object]:
    return [wire.SET, writer.hashed(value)]


def _read_set(reader: NodeReader, node: list[Any]) -> object:
    _, items = node
    return set(reader.hashed(items))


def _write_frozenset(writer: NodeWriter, value: frozenset[object]) -> list[object]:
    return [wire.FROZENSET, writer.hashed(value)]


def _read_frozenset(reader: NodeReader, node: list[Any]) -> object:
    _, items = node
    return frozenset(reader.hashed(items))


def _write_bytearray(writer: NodeWriter, value: bytearray) -> list[object]:
    return [wire.BYTEARRAY, writer.buffer(bytes(value))]


def _read_bytearray(reader: NodeReader, node: list[Any]) -> object:
    _, data = node
    return bytearray(reader.buffer(data))


WRITERS: dict[type, WriteNode] = {
    list: _write_list,
    tuple: _write_tuple,
    dict: _write_dict,
    set: _write_set,
    frozenset: _write_frozenset,
    bytearray: _write_bytearray,
}

READERS: dict[int, ReadNode] = {
    wire.LIST: _read_list,
    wire.TUPLE: _read_tuple,
    wire.DICT: _read_dict,
    wire.SET: _read_set,
    wire.FROZENSET: _read_frozenset,
    wire.BYTEARRAY: _read_bytearray,
}
