"""What the form of one type on the wire needs of whoever writes or reads the whole item."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol, TypeAlias

from minipipe.codec.borrower import Borrower, Leases
from minipipe.codec.shared_arrays import SlotPart
from minipipe.protocol.wiring import Access
from minipipe.shm.view import Array


class NodeWriter(Protocol):
    """Writes what is inside of a value (`minipipe.codec.writer.Writer`)."""

    def node(self, value: object) -> object:
        """Returns the node of a value, which must stay alive until the item is written."""

    def nodes(self, values: Collection[object]) -> list[Any]:
        """Returns the nodes of all values."""

    def hashed(self, values: Collection[object]) -> list[Any]:
        """Returns the nodes of what will be hashed on arrival."""

    def leaf(self, value: object) -> object:
        """Returns the node of an exact None, bool, int, float, str or bytes."""

    def buffer(self, data: bytes | memoryview) -> bytes | int:
        """Returns what stands for bytes that nobody will change."""

    def lend(self, array: Array) -> SlotPart | None:
        """Returns where an array is in a slot, lent; None if it is to travel in a frame."""

    def frame(self, array: Array) -> memoryview | None:
        """Returns the bytes of an array that lies in a slot, for `buffer`; None: copy it."""

    def class_name(self, cls: type) -> str | bytes:
        """Returns how a class is referred to."""

    def token_if_by_value(self, cls: type) -> bytes | None:
        """Returns the token of a class if it is not known by name."""


class ReadContext(Protocol):
    """What a reader decodes with: whether pickles may come in, the slots, the known classes."""

    allow_pickle: bool
    borrower: Borrower | None
    access: Access
    leases: Leases
    presets: Sequence[Any]

    def class_named(self, name: str | bytes) -> type:
        """Returns the class that a message refers to."""


class NodeReader(Protocol):
    """Reads what is inside of a node (`minipipe.codec.reader.Reader`)."""

    context: ReadContext

    def node(self, node: Any) -> object:
        """Returns what a node stands for."""

    def nodes(self, nodes: Any) -> list[Any]:
        """Returns what each of a list of nodes stands for; may be that very list."""

    def hashed(self, nodes: Any) -> list[Any]:
        """Returns what each of a list of nodes stands for; there are no references in them."""

    def text(self, node: Any) -> str:
        """Returns a str."""

    def buffer(self, node: Any) -> bytes | memoryview:
        """Returns the bytes of a buffer. They may be a frame: copy what is to stay."""

    @property
    def borrower(self) -> Borrower:
        """Who makes arrays over the slots of others."""

    def class_named(self, name: Any) -> type:
        """Returns the class of that name or token."""


WriteNode: TypeAlias = Callable[[NodeWriter, Any], list[object]]
ReadNode: TypeAlias = Callable[[NodeReader, list[Any]], object]
