"""Workers that wait for a machine: for what, how long, and what is said of why none will do."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from minipipe.protocol.frozen import frozen
from minipipe.protocol.hosts.names import ANY, LOCAL
from minipipe.protocol.hosts.offer import Offer
from minipipe.protocol.run.gpu_use import Gpus

SHOWN = 6  # machines
FIRST_S = 10.0


@frozen
class PlacePatience:
    """How long workers wait for a machine.

    Attributes:
        any_s: those that may run here although there is no room, beside others of their segment.
            (It is infinite: 64 workers are for machines that somebody has yet to walk to.  After
            10 s they all began here, on two cores, and who joined then had nothing to do.)
        elsewhere_s: those that may not.
        first_s: the first of a segment, that waits for a GPU here that others have: then it shares.
    """

    any_s: float = math.inf
    elsewhere_s: float = math.inf
    first_s: float = FIRST_S

    @classmethod
    def of(cls, place_timeout_s: float | None) -> PlacePatience:
        """As the user wishes."""
        if place_timeout_s is None:
            return cls()
        return cls(place_timeout_s, place_timeout_s, place_timeout_s)


@frozen
class Wanted:
    """A worker that is to run somewhere.

    Attributes:
        worker: its id.
        segment: its name.
        place: LOCAL, ANY, a tag, or the name of a machine.
        gpus: how many it is given, or which (numbers count those of its machine); None: whatever
            there are.
    """

    worker: int
    segment: str
    place: str
    gpus: Gpus = None


@frozen
class Room:
    """How much of a machine is in use.

    Attributes:
        used: so many of its slots.
        free_gpus: so many of its GPUs are not.
    """

    offer: Offer
    used: int
    free_gpus: int

    def text(self, *, with_gpus: bool) -> str:
        """In words."""
        offer = self.offer
        gpus = f", {self.free_gpus} of {len(offer.gpus)} GPUs free" if with_gpus else ""
        return f"{offer.name}: {min(self.used, offer.slots)} of {offer.slots} slots taken{gpus}"


def waits(waiting: Iterable[Wanted], rooms: Sequence[Room]) -> str:
    """One line on all that wait."""
    counts = Counter((one.segment, one.place, one.gpus) for one in waiting)
    parts = []
    for (segment, place, gpus), count in counts.items():
        who = f"a worker of {segment!r} waits"
        if count > 1:
            who = f"{count} workers of {segment!r} wait"
        how = ", until others join (place_timeout_s= has them begin here)" if place == ANY else ""
        parts.append(f"{who} for {wish(place, gpus)}{how} ({why_none(place, gpus, rooms)})")
    return "; ".join(parts)


def wish(place: str, gpus: Gpus) -> str:
    """What a worker asks for."""
    where = "this machine" if place == LOCAL else "any machine"
    if place not in (ANY, LOCAL):
        where = f"a machine with the tag (or name) {place!r}"
    if not gpus:
        return f"room on {where}"
    if isinstance(gpus, int):
        return f"room on {where} with {gpus} free GPU{'s' if gpus > 1 else ''}"
    return f"room on {where} with GPUs {', '.join(map(str, gpus))}"


def why_none(place: str, gpus: Gpus, rooms: Sequence[Room]) -> str:
    """Why nobody has that now."""
    may = [room for room in rooms if room.offer.has(place)]
    if not may:
        others = [room.offer for room in rooms if room.offer.name != LOCAL][:SHOWN]
        tags = "".join(f"; {one.name} has {_tags(one)}" for one in others)
        near = get_close_matches(
            place, [LOCAL, ANY, *(t for one in others for t in one.tags)], 1, 0.7
        )
        meant = f"; did you mean {near[0]!r}?" if near else ""
        command = f"`minipipe agent --join TOKEN --tags {place}` would be one"
        return f"none has joined{tags}{meant}; {command}"
    texts = [room.text(with_gpus=bool(gpus)) for room in may[:SHOWN]]
    return "; ".join([*texts, *([f"{len(may) - SHOWN} more"] if len(may) > SHOWN else [])])


def _tags(offer: Offer) -> str:
    return ", ".join(map(repr, offer.tags)) or "none"
