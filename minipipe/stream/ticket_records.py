"""Records: what producers and consumers say of tickets (`protocol.flow.tickets`).

(`stream.records` has them all.)
"""

from __future__ import annotations

from typing import NamedTuple

from minipipe.stream.registry import record


@record(15)
class Offer(NamedTuple):
    """I have items for you: allow me so many in all; no more than I have sent: I have none."""

    stream: int
    wanted: int


@record(16)
class Recall(NamedTuple):
    """Behind a grant that takes tickets back: how many items have you sent?"""

    stream: int
    given: int  # so many were allowed before


@record(17)
class Returned(NamedTuple):
    """I have sent so many items, and will send no more without a ticket."""

    stream: int
    sent: int
