"""What one worker has to know of the graph around it: frozen, and small enough to send."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """How a segment stands towards the items that it takes."""

    RELAY = "relay"  # stateless: passes identity on, confirms nothing
    ANCHOR = "anchor"  # has state: confirms what it has read
    SINK = "sink"  # function Sink: confirms what its functor has returned from


@dataclass(frozen=True)
class InletSpec:
    """The consuming end of a stream, in one worker."""

    stream: int
    name: str
    region: int
    role: Role
    producers: int  # workers that put to the stream
    senders: int  # workers that must close the region before its end
    alone: bool  # the only worker that takes from the stream
    buffer_size: int | None


@dataclass(frozen=True)
class OutletSpec:
    """The producing end of a stream, in one worker."""

    stream: int
    name: str
    region: int
    consumers: frozenset[int]  # segments that take from the stream
    receivers: frozenset[int]  # segments that confirm in the region
    is_sender: bool  # else it relays, with the identity that came in
    ledger_bytes: int
    ledger_items: int


@dataclass(frozen=True)
class Wiring:
    """All ends of one segment's workers."""

    segment: int
    inlets: tuple[InletSpec, ...]
    outlets: tuple[OutletSpec, ...]
