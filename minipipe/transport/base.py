"""What a transport is: an inbox to read from, outlets and publishers to write to, their factory.

A transport never sees an item: it moves messages, each of one or more byte buffers.  Nothing
here blocks but `Inbox.wait`, and that can time out.  Nothing is bounded here either: credit, one
layer up, bounds what is under way (socket limits cannot: they count messages, and lose the
tail of a stream when the sender closes).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from minipipe.transport.trust import Trust

Buffer: TypeAlias = "bytes | memoryview"


class Receiver(Protocol):
    """What messages come by."""

    @property
    def bound_address(self) -> str:
        """Where it is bound here, for what is said of it here."""

    @property
    def trust(self) -> Trust:
        """What it accepts beside plain data."""

    def receive(self) -> list[Buffer] | None:
        """The next message, or None if there is none now.  Never blocks."""


class Inbox(Receiver, Protocol):
    """The one place where a process receives; many outlets and publishers lead to it."""

    @property
    def address(self) -> str:
        """Where others connect to: what they are told."""

    def receive(self) -> list[Buffer] | None:
        """The next message, or None if there is none now.  Never blocks.

        What outlets send and what each publisher sends is taken in turn, so none of them can
        starve another.  The buffers belong to the caller.  One thread at a time.
        """

    def wait(self, timeout_s: float | None, also: Sequence[int] = ()) -> list[int]:
        """Blocks until a message may be there, a descriptor of `also` is readable, or time is up.

        Returns those of `also` that are readable.  May return early for no reason; call
        `receive` until it gives None before waiting again.  Any thread, also while another
        one is in `receive`.
        """

    def receive_within(self, timeout_s: float, also: Sequence[int] = ()) -> list[Buffer] | None:
        """The next message, waiting for it; None if `wait` would have returned without one.

        As `wait` and then `receive`, but quicker to wake up where the transport has a way.
        """

    def subscribe(self, address: str, topics: Sequence[bytes]) -> None:
        """From now on, what the publisher at `address` sends to any of `topics` comes here too.

        In the order in which it was sent, without the topic.  The publisher, which need not be
        there yet, is told of the topics in the order given: when it has heard of the last one,
        all are in force.  More topics of one publisher may follow in later calls.

        In the thread that receives; as after any wait, `receive` until it gives None before
        the next one.  A wait that is under way in another thread does not see the publisher,
        the next one does.

        Raises:
            TransportError: `address` is none.
        """

    def unsubscribe(self, address: str) -> None:
        """The publisher at `address` is gone: nothing more of what it has sent comes here.

        In the thread that receives; without effect if it was not subscribed to.  Another thread
        may be in a wait meanwhile, which may return early then.
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


class Publisher(Protocol):
    """Sends each message once, to everyone who has subscribed to its topic.

    All topics of one publisher have the same length, because ZeroMQ takes a subscription for
    whatever begins with it.  A subscriber gets all that is sent from the moment on at which
    `subscriptions` has named its topic, and nothing is ever dropped: like everywhere here,
    credit bounds what a slow or stopped one makes pile up.  One that has died does no harm.
    One thread at a time.
    """

    @property
    def address(self) -> str:
        """Where inboxes subscribe."""

    def fileno(self) -> int:
        """A descriptor that becomes readable when `subscriptions` may have news.

        For the `also` of a wait.  Call `subscriptions` after the last `send` and before
        waiting: sending may take the sign away, and it is given once.
        """

    def subscriptions(self) -> list[bytes]:
        """The topics that have found a subscriber since this was last asked.  Never blocks.

        A topic that has one already is not named again when another one comes: a topic of its
        own, subscribed to last, tells of a certain subscriber.
        """

    def send(self, topic: bytes, message: Sequence[Buffer]) -> None:
        """Hands the message over for all who have subscribed to `topic`, without blocking.

        Each of them gets the messages in the order in which they were sent.  Without any, it
        is forgotten.  The caller must not change the buffers afterwards.
        """

    def close(self) -> None:
        """Sends no more; the address is free again.

        What was handed over before is still delivered, for a moment.
        """


class Transport(Protocol):
    """Makes inboxes, outlets and publishers; closing it closes all of them."""

    def bind(self, name: str) -> Inbox:
        """A new inbox.  `name` is unique in the run and short, for addresses that are paths."""

    def connect(self, address: str) -> Outlet:
        """A new outlet to the inbox at `address`, which need not be there yet."""

    def publish(self, name: str) -> Publisher:
        """A new publisher.  `name` is as for `bind`, and no inbox has it."""

    def remove(self, name: str) -> None:
        """Nothing is left of an inbox or publisher whose process has died without closing it."""

    def close(self, linger_s: float = 0.0) -> None:
        """Closes all that it made; waits at most `linger_s` for what is still to be sent."""
