"""What the two ends of a link say to each other (`protocol/flow/link.py`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resume:
    """The first frame of a connection: where its sender wants to go on.

    Attributes:
        incarnation: of the sender, drawn at random when its end of the link began.
        other: the incarnation of the other end that it has spoken to; 0: none yet.
        received: all messages up to this one have arrived.
    """

    incarnation: int
    other: int
    received: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message; the first one of a direction has the number 1."""

    number: int
    size_bytes: int
    body: object


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """All messages up to this one were handed over: they will not be asked for again."""

    number: int


@dataclass(frozen=True, slots=True)
class Beat:
    """The sender is there, and has nothing to say."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """The sender will say nothing more.

    Attributes:
        why: "" at a good end, for which all that was sent has been acknowledged.
        heard: at a good end: that of the other one, too, has arrived.
    """

    why: str
    heard: bool = False


Frame = Resume | Message | Acknowledge | Beat | Farewell
