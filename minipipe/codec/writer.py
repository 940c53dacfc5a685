"""One item becomes a tree of nodes that msgpack can write, and a list of frames."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final
from weakref import WeakKeyDictionary

from minipipe.codec import (
    arrays,
    classes,
    containers,
    numpy_scalars,
    records,
    registry,
    values,
    wire,
)
from minipipe.codec.lender import Lender
from minipipe.codec.nodes import WriteNode
from minipipe.codec.shared_arrays import SlotPart
from minipipe.codec.wire import NotNativeError
from minipipe.shm import SlotHandle
from minipipe.shm.view import Array

_WRITERS: Final[dict[type, WriteNode]] = {**containers.WRITERS, **values.WRITERS, **arrays.WRITERS}

# Weak, because a notebook makes a new class each time its cell runs.
_found: Final[WeakKeyDictionary[type, WriteNode]] = WeakKeyDictionary()

_INT_RANGE: Final = range(-(2**63), 2**64)
_UNMEASURED: Final = frozenset({type(None), bool, int, float})
_ALWAYS_PACKABLE: Final = frozenset({type(None), bool, float})


class Writer:
    """Turns one item into nodes; made anew for each item.

    Args:
        lender: Puts large arrays where others see them; None: they travel in frames.
        exclusive: Whether one consumer will get the item, and no other.
        by_value: Whether definitions of classes may travel.
        careful: Look at each int and str. Without it a big int or a lone surrogate is only
            noticed when msgpack fails, and then the item is written again, carefully.

    Attributes:
        slot_bytes: What of the item lies in slots.
        held: The slots that were lent, each as often as it was retained. Whoever takes the item
            over takes them out of here; what is left is for `release`.
    """

    def __init__(
        self,
        lender: Lender | None = None,
        exclusive: bool = False,
        by_value: bool = True,
        careful: bool = False,
    ) -> None:
        """Begins an item."""
        self.frames: list[bytes | memoryview] = []
        self.classes: dict[bytes, bytes] = {}
        self.held: list[SlotHandle] = []
        self.slot_bytes = 0
        self._lender = lender
        self._exclusive = exclusive
        self._by_value = by_value
        self._careful = careful
        self._numbers: dict[int, int] = {}
        self._next_number = 0
        self._depth = 0
        self._hashing = 0
        self._hashed_nodes = 0

    def node(self, value: object) -> object:
        """Returns the node of a value, which must stay alive until the item is written.

        (Nodes are numbered by the `id` of their object: one that dies would pass its number on to
        whatever comes to lie at the same place. What is made on the fly goes through `leaf`.)

        Raises:
            NotNativeError: It would have to be pickled.
        """
        kind = type(value)
        if kind in wire.LEAVES:
            return value if kind in _UNMEASURED and not self._careful else self.leaf(value)
        write = _WRITERS.get(kind) or writer_for(kind)
        if self._depth >= wire.MAX_DEPTH:
            raise NotNativeError(
                f"it is nested more than {wire.MAX_DEPTH} levels deep", of_item=True
            )
        if self._hashing:
            self._hashed_nodes += 1
            if self._hashed_nodes > wire.MAX_HASHED_NODES:
                raise NotNativeError("its keys and sets hold too many things", of_item=True)
            self._depth += 1
            node = write(self, value)
            self._depth -= 1
            return node
        number = self._numbers.get(id(value))
        if number is not None:
            if number < 0:
                raise NotNativeError("it contains itself", of_item=True)
            return [wire.REF, number]
        self._numbers[id(value)] = -1
        self._depth += 1
        node = write(self, value)
        self._depth -= 1
        self._numbers[id(value)] = self._next_number
        self._next_number += 1
        return node

    def nodes(self, values: Collection[object]) -> list[Any]:
        """Returns the nodes of all values; fast where they are small leaves."""
        kinds = set(map(type, values))
        packable = _ALWAYS_PACKABLE if self._careful else wire.LEAVES
        if kinds <= packable and not any_large(values, kinds):
            return values if type(values) is list else list(values)
        return [self.node(value) for value in values]

    def hashed(self, values: Collection[object]) -> list[Any]:
        """Returns the nodes of what will be hashed on arrival: written out, never referred to."""
        self._hashing += 1
        nodes = self.nodes(values)
        self._hashing -= 1
        return nodes

    def leaf(self, value: object) -> object:
        """Returns the node of an exact None, bool, int, float, str or bytes."""
        kind = type(value)
        if kind is str:
            text: str = value  # type: ignore[assignment]
            if len(text) >= wire.OUT_OF_BAND_BYTES or (self._careful and not _is_utf8(text)):
                return [wire.STR, self.buffer(text.encode("utf-8", "surrogatepass"))]
        elif kind is bytes:
            if len(value) >= wire.OUT_OF_BAND_BYTES:  # type: ignore[arg-type]
                return [wire.BYTES, self.buffer(value)]  # type: ignore[arg-type]
        elif self._careful and kind is int and value not in _INT_RANGE:
            number: int = value  # type: ignore[assignment]
            size = number.bit_length() // 8 + 1
            return [wire.INT, self.buffer(number.to_bytes(size, "little", signed=True))]
        return value

    def buffer(self, data: bytes | memoryview) -> bytes | int:
        """Returns what stands for bytes that nobody will change: themselves, or their length.

        Args:
            data: A memoryview must be of bytes, flat and contiguous, and is kept as it is.
        """
        if len(data) < wire.OUT_OF_BAND_BYTES:
            return data if type(data) is bytes else bytes(data)
        self.frames.append(data)
        return len(data)

    def lend(self, array: Array) -> SlotPart | None:
        """Returns where an array is in a slot, lent; None if it is to travel in a frame."""
        lender = self._lender
        if lender is None or array.nbytes < lender.min_bytes:
            return None
        part = lender.lend(array, exclusive=self._exclusive)
        if part is not None:
            self.held.append(part.held)
            self.slot_bytes += array.nbytes
        return part

    def frame(self, array: Array) -> memoryview | None:
        """Returns the bytes of an array that lies in a slot, for `buffer`; None: copy it."""
        return None if self._lender is None else self._lender.frame(array)

    def release(self) -> None:
        """Lets go of what was lent for an item that is not to be sent after all."""
        while self.held:
            self.held.pop().release()

    def class_name(self, cls: type) -> str | bytes:
        """Returns how a class is referred to; notes its definition, where that has to travel.

        Raises:
            NotNativeError: Its definition has to travel, and must not.
        """
        name = classes.reference(cls)
        if name is not None:
            return name
        if not self._by_value:
            name = classes.name_in_script(cls)
            if name is not None:
                return name
            raise NotNativeError(
                "its class cannot be found by others, as it is defined in a function, or changed "
                "while this runs: define it at the top of the script, or of a module of yours, "
                "which is sent along"
            )
        return self.class_token(cls)

    def token_if_by_value(self, cls: type) -> bytes | None:
        """Returns the token of a class if it is not known by name."""
        return self.class_token(cls) if classes.is_by_value(cls) else None

    def class_token(self, cls: type) -> bytes:
        """Returns the token of a class by value, and notes its definition and what that needs."""
        definition = classes.definition_of(cls)
        self.classes.update(definition.needs)
        self.classes[definition.token] = definition.blob
        return definition.token


def writer_for(kind: type) -> WriteNode:
    """Returns what writes instances of a type that is in no table.

    Raises:
        NotNativeError: Nothing does.
    """
    write = _found.get(kind)
    if write is not None:
        return write
    for find in (_library_writer_for, records.writer_for, numpy_scalars.writer_for):
        write = find(kind)
        if write is not None:
            _found[kind] = write
            return write
    raise NotNativeError(records.why_not(kind))


def _library_writer_for(kind: type) -> WriteNode | None:
    library = registry.library_of(kind)
    return None if library is None else library.writer_for(kind)


def any_large(values: Collection[Any], kinds: set[type]) -> bool:
    """Whether one of several leaves needs a frame of its own.

    Args:
        values: The leaves.
        kinds: Their types.
    """
    if kinds <= _UNMEASURED:
        return False
    if not kinds & _UNMEASURED:
        return max(map(len, values)) >= wire.OUT_OF_BAND_BYTES
    return any(
        len(value) >= wire.OUT_OF_BAND_BYTES
        for value in values
        if type(value) is str or type(value) is bytes
    )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
