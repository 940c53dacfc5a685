"""The vital signs of a worker: what it has counted, what it is at, how far it is, at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from minipipe.protocol.delivery.paths import Leaf, Outputs

# What stands for one call of a functor: another one for each call, and it never comes back.
Call = tuple[int, ...]


class StartStage(IntEnum):
    """What a worker does on the way to its functor."""

    NO_PROCESS = 0
    FORKED = 1  # its stack can be asked for
    LOADING = 2  # unpickling its functor
    OPENING = 3  # in its constructor, or its local_init
    PAST = 4  # none of these any more: it waits for others, or is at work


class EndStage(IntEnum):
    """How far a worker is on its way out."""

    AT_WORK = 0
    LEAVING = 1  # it has left its functor, or does so: what is open in that is closed
    SAVING = 2  # it is in its local_term
    ENDING = 3  # its process ends


# As a call: a worker has not come out of its start.
STARTING: Call = ()


@dataclass(frozen=True, slots=True)
class VitalSigns:
    """All that is known of a worker at one moment; items since its start."""

    items_in: int = 0
    items_out: int = 0
    dropped: int = 0
    confirmed: int = 0
    kept_items: int = 0
    kept_bytes: int = 0
    peak_items: int = 0
    peak_bytes: int = 0
    queued: int = 0
    parcels: int = 0
    number: int | None = None  # of the item in its functor
    origin: int = 0  # the worker that numbered it
    outputs: Outputs = ()  # by which it came
    turns: int = 0  # how many parcels, or items, were taken into work: one more is another call
    deaths: int = 0  # at the item in the functor, as far as it had heard when it began it
    start: StartStage = StartStage.NO_PROCESS
    end: EndStage = EndStage.AT_WORK

    @property
    def item(self) -> Leaf | None:
        """The identity of the item in its functor."""
        return None if self.number is None else (self.origin, self.number, self.outputs)
