"""Records: of workers that leave in mid-run (`stream.records` has them all)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from minipipe.stream.registry import record


@record(12)
class Last(NamedTuple):
    """Behind the last item: you are to leave, and get nothing more from here."""


@record(13)
class Bye(NamedTuple):
    """Behind all that I have sent to you this way: I leave in mid-run."""

    channel: int  # a broadcast stream, or `outbox.DIRECT`


@record(14)
class Taken(NamedTuple):
    """All that you have sent to me this way is here."""

    channel: int


@record(29)
class Retire(NamedTuple):
    """Leave in mid-run: when these have sent their LAST, and all that you have sent is taken up."""

    producers: Sequence[int]


@record(30)
class Retiring(NamedTuple):
    """That consumer is to leave: it is to get nothing more from you."""

    worker: int


@record(31)
class Gone(NamedTuple):
    """That worker has left, and nothing of it is under way."""

    worker: int
