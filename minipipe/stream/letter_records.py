"""Records: what a worker on another host has written down where the supervisor is.

Dead letters, crash suspects and traces are files there, and no worker elsewhere can reach those.
Which file it is follows from who says it: no record holds a path.
"""

from __future__ import annotations

from typing import NamedTuple

from minipipe.protocol.delivery.paths import Outputs
from minipipe.stream.registry import record


@record(33)
class Kept(NamedTuple):
    """From the supervisor: the worker's next letter, or suspect, is written."""


@record(51)
class Letter(NamedTuple):
    """An item that this worker has skipped, or that ends the run, for the file of its segment."""

    origin: int
    number: int
    path: Outputs
    ends_run: bool  # which it does also if it cannot be written
    content: bytes  # in the native form (`stream.native_form`)


@record(52)
class Suspect(NamedTuple):
    """An item that another worker has died of: this one tries it when it is written down."""

    origin: int
    number: int
    path: Outputs
    content: bytes  # as that of a letter


@record(53)
class Spans(NamedTuple):
    """What this worker, or one of its threads, has done when, in its own clock."""

    thread: int
    created_ns: int
    packed: bytes
    now_ns: int  # when this was sent
