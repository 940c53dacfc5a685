"""What a transport is: an inbox to read from, outlets to write to, a factory for both.

A transport never sees an item: it moves messages, each a list of byte buffers.  Nothing here
blocks but `Inbox.wait`, and that can time out.  Nothing is bounded here either: credit, one
layer up, bounds what is under way (socket limits cannot: they count messages, and lose the
tail of a stream when the sender closes).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

Buffer: TypeAlias = "bytes | memoryview"


class Inbox(Protocol):
    """The one place where a process receives; many outlets lead to it."""

    @property
    def address(self) -> str:
        """Where others connect to."""

    def receive(self) -> list[Buffer] | None:
        """The next message, or None if there is none now.  Never blocks.

        The buffers belong to the caller.  One thread at a time.
        """

    def wait(self, timeout_s: float | None, also: Sequence[int] = ()) -> list[int]:
        """Blocks until a message may be there, a descriptor of `also` is readable, or time is up.

        Returns those of `also` that are readable.  May return early for no reason; call
        `receive` until it gives None before waiting again.  Any thread, also while another
        one is in `receive`.
        """

    def close(self) -> None:
        """Forgets what was not received; the address is free again."""


class Outlet(Protocol):
    """The sending end of one connection.  Messages arrive in the order in which they were sent."""

    def send(self, message: Sequence[Buffer]) -> None:
        """Hands the message over, without blocking.

        The caller must not change the buffers afterwards.  One thread at a time.
        """

    def close(self) -> None:
        """Sends no more.  What was handed over before is still delivered, for a moment."""


class Transport(Protocol):
    """Makes inboxes and outlets; closing it closes all of them."""

    def bind(self, name: str) -> Inbox:
        """A new inbox.  `name` is unique in the run and short, for addresses that are paths."""

    def connect(self, address: str) -> Outlet:
        """A new outlet to the inbox at `address`, which need not be there yet."""

    def close(self, linger_s: float = 0.0) -> None:
        """Closes all that it made; waits at most `linger_s` for what is still to be sent."""
