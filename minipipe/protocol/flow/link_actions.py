"""What an end of a link has its driver do (`protocol/flow/link.py`)."""

from __future__ import annotations

from dataclasses import dataclass

from minipipe.protocol.flow.link_frames import Message


@dataclass(frozen=True, slots=True)
class Connect:
    """Make a connection; `opened` or `broke` says what came of it."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """End the connection, whatever is in its queues."""

    why: str


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand this message over to those whom it is for, then call `handed_over`."""

    number: int
    body: object


@dataclass(frozen=True, slots=True)
class Release:
    """What messages up to this one were made of is not needed any more.

    Attributes:
        messages: those that were not released before.
    """

    number: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Again:
    """What the other end has not received is sent again: `Link.recut` may be called now."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Let nobody begin anything until `GoOn`."""


@dataclass(frozen=True, slots=True)
class GoOn:
    """The other end is there again."""


@dataclass(frozen=True, slots=True)
class OtherEnded:
    """The other end will send nothing more; it still takes what it is sent."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Both ends have nothing more to say, and all that was sent has been handed over."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The other end is lost for good."""

    why: str


Action = Connect | Disconnect | Deliver | Release | Again | Hold | GoOn | OtherEnded | Ended | Lost
