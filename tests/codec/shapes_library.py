"""What MiniPipe does with the types of `shapes`: the one file that such a library takes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

from minipipe.codec.library import Collation, Library, Sharing
from minipipe.codec.nodes import NodeReader, NodeWriter, WriteNode
from minipipe.codec.registry import MODULES

(CIRCLE,) = MODULES["shapes"].tags


def _writer_for(kind: type) -> WriteNode | None:
    return _write if kind is sys.modules["shapes"].Circle else None


def _write(writer: NodeWriter, value: Any) -> list[object]:
    return [CIRCLE, writer.leaf(value.radius)]


def _read(reader: NodeReader, node: list[Any]) -> object:
    _, radius = node
    return importlib.import_module("shapes").Circle(reader.node(radius))


def _accepts(value: object) -> bool:
    return isinstance(value, sys.modules["shapes"].Circle)


def _describe(value: Any) -> str:
    return f"a circle of {value.radius}"


def _traits(value: Any) -> list[tuple[str, object]]:
    return [("type of radius", type(value.radius).__name__)]


def _stack(values: Sequence[Any]) -> Any:
    return sys.modules["shapes"].Circles([value.radius for value in values])


def _shared(kind: type) -> Sharing | None:
    is_drawing = issubclass(kind, sys.modules["shapes"].Drawing)
    return Sharing("an open drawing", for_none=False) if is_drawing else None


LIBRARY = Library(
    writer_for=_writer_for,
    readers={CIRCLE: _read},
    collation=Collation(_accepts, _describe, _traits, _stack, "circle.radius"),
    seed=lambda value: sys.modules["shapes"].seed(value),
    fork_obstacle=lambda: "an easel, which" if sys.modules["shapes"].SEEDS == [-1] else None,
    shared=_shared,
)
