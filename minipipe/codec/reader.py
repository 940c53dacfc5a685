"""A tree of nodes and a list of frames become an item again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from minipipe.codec import (
    arrays,
    containers,
    item_loader,
    numpy_scalars,
    over_arrays,
    pickled,
    records,
    registry,
    values,
    wire,
)
from minipipe.codec.borrower import Borrower
from minipipe.codec.nodes import ReadContext, ReadNode
from minipipe.errors import WireFormatError

_READERS: Final[dict[int, ReadNode]] = {
    **containers.READERS,
    **values.READERS,
    **arrays.READERS,
    **numpy_scalars.READERS,
    **records.READERS,
    **pickled.READERS,
    **item_loader.READERS,
    **over_arrays.READERS,
}
_LEAF_TAGS: Final = frozenset({wire.REF, wire.STR, wire.BYTES, wire.INT})


class Reader:
    """Turns the nodes of one parcel into items. Anything may be wrong with them."""

    def __init__(self, frames: Sequence[bytes | memoryview], context: ReadContext) -> None:
        """Begins with the first frame."""
        self.context = context
        self._frames: Iterator[bytes | memoryview] = iter(frames)
        self._seen: list[object] = []
        self._depth = 0
        self._hashing = 0

    def item(self, node: object) -> object:
        """Returns one item."""
        self._seen = []
        return self.node(node)

    def end(self) -> None:
        """Raises WireFormatError if a frame is left over."""
        if next(self._frames, None) is not None:
            raise WireFormatError("there are more frames than the body refers to")

    def node(self, node: Any) -> object:
        """Returns what a node stands for."""
        if type(node) in wire.LEAVES:
            return node
        if type(node) is not list:
            raise WireFormatError(f"a node is a {type(node).__name__}")
        tag = node[0]
        read = _READERS.get(tag)
        if read is None:
            if tag in _LEAF_TAGS:
                return self._leaf(tag, node)
            read = registry.reader_of(tag)
            if read is None:
                raise WireFormatError(f"unknown tag {tag!r:.40}")
            _READERS[tag] = read
        if self._depth >= wire.MAX_DEPTH:
            raise WireFormatError(f"it is nested more than {wire.MAX_DEPTH} levels deep")
        self._depth += 1
        value = read(self, node)
        self._depth -= 1
        if not self._hashing:
            self._seen.append(value)
        return value

    def _leaf(self, tag: object, node: list[Any]) -> object:
        _, payload = node
        if tag == wire.REF:
            if self._hashing or type(payload) is not int or not 0 <= payload < len(self._seen):
                raise WireFormatError("it refers to something that is not there")
            return self._seen[payload]
        if tag == wire.STR:
            return str(self.buffer(payload), "utf-8", "surrogatepass")
        if tag == wire.BYTES:
            return bytes(self.buffer(payload))
        return int.from_bytes(self.buffer(payload), "little", signed=True)

    def nodes(self, nodes: Any) -> list[Any]:
        """Returns what each of a list of nodes stands for; may be that very list."""
        if type(nodes) is not list:
            raise WireFormatError(f"a {type(nodes).__name__} stands where nodes should be")
        if set(map(type, nodes)) <= wire.LEAVES:
            return nodes
        leaves = wire.LEAVES
        return [node if type(node) in leaves else self.node(node) for node in nodes]

    def hashed(self, nodes: Any) -> list[Any]:
        """Returns what each of a list of nodes stands for; there are no references in them."""
        self._hashing += 1
        found = self.nodes(nodes)
        self._hashing -= 1
        return found

    def text(self, node: Any) -> str:
        """Returns a str."""
        value = self.node(node)
        if type(value) is not str:
            raise WireFormatError(f"a {type(value).__name__} stands where text should be")
        return value

    def buffer(self, node: Any) -> bytes | memoryview:
        """Returns the bytes of a buffer. They may be a frame: copy what is to stay."""
        if type(node) is bytes:
            return node
        frame = next(self._frames, None)
        if frame is None:
            raise WireFormatError("a frame is missing")
        if type(frame) is not bytes:
            frame = memoryview(frame).cast("B")
        if type(node) is not int or node != len(frame):
            raise WireFormatError(f"a frame has {len(frame)} bytes where {node!r:.40} were said")
        return frame

    @property
    def borrower(self) -> Borrower:
        """Who makes arrays over the slots of others."""
        found = self.context.borrower
        if found is None:
            raise WireFormatError("it refers to shared memory, which is not accepted here")
        return found

    def class_named(self, name: Any) -> type:
        """Returns the class of that name or token."""
        if type(name) is not str and type(name) is not bytes:
            raise WireFormatError(f"a {type(name).__name__} stands where a class should be")
        return self.context.class_named(name)
