"""What loaders ask of a device: an interface, so that all else can be tested without one.

A device has a stream of its own for copies, beside the one that its user computes on. What is
copied is bytes.
"""

from __future__ import annotations

from typing import Any, Protocol

from minipipe.errors import MiniPipeError


class RefusedError(MiniPipeError, RuntimeError):
    """The driver does not register memory; the text says what it said."""


class Event(Protocol):
    """A point of the stream of copies."""

    def done(self) -> bool:
        """Whether all copies before it are done; never waits."""

    def wait(self) -> None:
        """Has this thread wait until they are."""


class Driver(Protocol):
    """A device, as one process uses it. All tensors that it is given or makes are of bytes."""

    def register(self, address: int, size_bytes: int) -> None:
        """Has memory that is mapped read-only pinned, so that it can be copied from beside others.

        Raises:
            RefusedError: It cannot; an error may be left behind, which `clear_error` clears.
        """

    def unregister(self, address: int) -> None:
        """Undoes that, before the memory is unmapped."""

    def clear_error(self) -> None:
        """Forgets the error that a refusal leaves behind: else the next call would raise it."""

    def pinned(self, size_bytes: int) -> Any:
        """Returns a tensor in pinned memory, uint8[size_bytes]."""

    def empty(self, size_bytes: int) -> Any:
        """Returns a tensor on the device, uint8[size_bytes], for `copy`."""

    def copy(self, target: Any, source: Any) -> None:
        """Begins a copy from the host, in the order of calls; both are uint8[size_bytes].

        The source must stay as it is until an event that is recorded after that is done.
        """

    def record(self) -> Event:
        """Returns the point behind all copies so far."""

    def hand_over(self, event: Event, targets: list[Any]) -> None:
        """Has the stream that this thread computes on wait for an event, and use what was copied.

        (The stream waits, and not the thread.)
        """

    def moved(self, tensor: Any) -> Any:
        """Returns a copy on the device of a tensor that is more than bytes: a sparse one, say."""
