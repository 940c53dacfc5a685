"""Records: what becomes of the slots of a parcel that goes to another host.

from a worker       [..., FREIGHT, ITEMS], frames of the body
on the link         the same, and a frame for each slot: the parts of it that are wanted
to a worker there   the same; FREIGHT says where the frames that are empty now lie in slots
and from that       LANDED, to its gateway: it has mapped them, or has dropped the parcel
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from minipipe.stream.fields import SlotRefs
from minipipe.stream.registry import record


@record(18)
class Freight(NamedTuple):
    """The slots of the parcel behind this are not of the host that it comes to."""

    parts: Sequence[Sequence[int]]  # of each slot, in the order of ITEMS: begin and end of each
    here: SlotRefs = ()  # where each of them lies now, part behind part; or NOWHERE
    number: int = 0  # as LANDED is to say it; 0: nothing is to be said


@record(19)
class Landed(NamedTuple):
    """This FREIGHT, and all before it, is here."""

    number: int
