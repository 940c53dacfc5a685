"""Which worker runs on which machine, and with which of its GPUs.

What must run here does so at once.  The others are served in turn, segment by segment: one that may
run anywhere goes to a free core here, else to the agent with the most free slots; one that asks for
a tag, to the machine with that tag that has the most.  Who finds none waits.  An agent never has
more workers than it offers, nor two that were given the same GPU; this machine may, when somebody
has waited as long as the user says, or would be the first of its segment: a run needs one of each
to begin.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from minipipe.protocol.frozen import frozen
from minipipe.protocol.hosts.names import ANY, LOCAL
from minipipe.protocol.hosts.offer import Offer
from minipipe.protocol.run.gpu_use import GpuUse
from minipipe.protocol.run.room import PlacePatience, Room, Wanted, waits, why_none, wish

SAY_EVERY_S = 10.0  # by far more seldom where all run that the run needs
SAY_SELDOM_S = 640.0


@frozen
class Place:
    """A worker is to be started there, with this CUDA_VISIBLE_DEVICES; None: as it is there."""

    worker: int
    host: str
    gpus: str | None = None


@frozen
class NoPlace:
    """A worker has waited long enough: it can run nowhere, and without it the run cannot."""

    worker: int
    why: str


Decision = Place | NoPlace


@dataclass
class _Waiting:
    wanted: Wanted
    since_s: float = math.nan  # from the first time that it was looked for a place
    is_overdue: bool = False  # it goes on waiting, as its segment has others


@dataclass
class _Host:
    offer: Offer
    gpus: GpuUse
    used: int = 0  # slots
    takes_more: bool = True

    @property
    def free(self) -> int:
        return self.offer.slots - self.used


class Placement:
    """The machines of one run, and its workers.

    Args:
        local: this machine: its name is LOCAL, its slots are its cores.
        patience: how long workers wait.
        kept: so many workers will have to run here: cores are kept for them.
        gpus_in_use: those of this machine that others of this run have.
    """

    def __init__(
        self,
        local: Offer,
        patience: PlacePatience,
        *,
        kept: int = 0,
        gpus_in_use: Iterable[str] = (),
    ) -> None:
        self._local = _Host(local, GpuUse(local.gpus, gpus_in_use), used=kept)
        self._hosts = {LOCAL: self._local}
        self._patience, self._kept = patience, kept
        self._waiting: dict[int, _Waiting] = {}
        self._placed: dict[int, tuple[Wanted, Place]] = {}
        self._of_segment: Counter[str] = Counter()  # that are placed
        self._leaving: Counter[str] = Counter()  # those of them whose machine wants to go
        self._new: list[int] = []  # of those that wait, whom nobody has looked for a place for
        self._full: set[object] = set()  # what nobody has room for: others need not ask for it
        self._is_changed = False  # so that there may be room again
        self._say_at_s = self._overdue_at_s = math.inf
        self._say_every_s = SAY_EVERY_S

    # ------------------------------------------------------------- what happens
    def wants(self, wanted: Wanted) -> None:
        """A worker is to be started; `passed` says where."""
        self._waiting[wanted.worker] = _Waiting(wanted)
        self._new.append(wanted.worker)

    def here(self, wanted: Wanted) -> None:
        """A worker runs on this machine already."""
        self._put(wanted, self._local)

    def joined(self, offer: Offer) -> None:
        """A machine has joined, by a name that no other one has."""
        if offer.name in self._hosts:
            raise ValueError(f"there is a machine {offer.name!r} already")
        self._hosts[offer.name] = _Host(offer, GpuUse(offer.gpus))
        self._is_changed = True

    def drains(self, host: str) -> tuple[int, ...]:
        """A machine wants to go: it gets no more workers.  Those that it has."""
        workers = self.workers_of(host)
        if host in self._hosts and host != LOCAL and self._hosts[host].takes_more:
            self._hosts[host].takes_more = False
            self._leaving.update(self._placed[worker][0].segment for worker in workers)
            self._is_changed = True
        return workers

    def lost(self, host: str) -> tuple[int, ...]:
        """A machine is gone, and with it these workers.  (Who replaces them has another id.)"""
        workers = self.workers_of(host)
        for worker in workers:
            self.ended(worker)
        if host != LOCAL:
            self._hosts.pop(host, None)
        self._is_changed = True
        return workers

    def ended(self, worker: int) -> None:
        """A worker is gone, or is not to be started any more."""
        self._waiting.pop(worker, None)
        self._is_changed = True
        if worker in self._placed:
            wanted, place = self._placed.pop(worker)
            self._of_segment[wanted.segment] -= 1
            host = self._hosts[place.host]
            self._leaving[wanted.segment] -= not host.takes_more
            host.gpus.give_back(place.gpus)
            host.used -= 1

    # --------------------------------------------------------------- what is so
    def host_of(self, worker: int) -> str | None:
        """Where a worker is; None: nowhere so far."""
        return self._placed[worker][1].host if worker in self._placed else None

    def workers_of(self, host: str) -> tuple[int, ...]:
        """The workers of a machine."""
        return tuple(w for w, (_, place) in self._placed.items() if place.host == host)

    def closes(self) -> None:
        """No other machine is there any more, nor will be: who must run on one has no place."""
        for host in [host for host in self._hosts if host != LOCAL]:
            self.lost(host)
        self._patience, self._is_changed = PlacePatience(self._patience.any_s, 0.0), True

    @property
    def waiting(self) -> tuple[int, ...]:
        """The workers that wait for a machine."""
        return tuple(self._waiting)

    @property
    def due_s(self) -> float:
        """When `passed` and `line` are to be called, if nothing happens before."""
        is_new = self._is_changed or bool(self._new)
        return -math.inf if is_new else min(self._overdue_at_s, self._say_at_s)

    # --------------------------------------------------------------- what to do
    def passed(self, now_s: float) -> list[Decision]:
        """Who is to be started where now; each worker is spoken of once."""
        if now_s < self.due_s:
            return []
        asking = [self._waiting[worker] for worker in self._new if worker in self._waiting]
        if self._is_changed or now_s >= self._overdue_at_s:
            asking = list(self._waiting.values())
            self._full.clear()
            self._overdue_at_s = math.inf
        self._is_changed, self._new = False, []
        decisions = [found for one in self._in_turn(asking) if (found := self._decide(one, now_s))]
        for decision in decisions:
            del self._waiting[decision.worker]
        if not self._waiting:
            self._say_at_s, self._say_every_s = math.inf, SAY_EVERY_S
        elif self._say_at_s == math.inf:
            self._say_at_s = now_s + SAY_EVERY_S
        return decisions

    def line(self, now_s: float) -> str | None:
        """What is to be said of those that wait, every 10 s; None: nothing now."""
        if now_s < self._say_at_s:
            return None
        waiting = [one.wanted for one in self._waiting.values()]
        is_filling = all(self._may_crowd(one) and not self._is_first(one) for one in waiting)
        longer_s = min(2 * self._say_every_s, SAY_SELDOM_S)
        self._say_every_s = longer_s if is_filling else SAY_EVERY_S
        self._say_at_s = now_s + self._say_every_s
        return waits(waiting, self._rooms)

    def _decide(self, one: _Waiting, now_s: float) -> Decision | None:
        wanted = one.wanted
        one.since_s = now_s if math.isnan(one.since_s) else one.since_s
        alike = (wanted.place, wanted.gpus)
        host = None if alike in self._full else self._free(wanted)
        if host is not None:
            return self._put(wanted, host)
        self._full.add(alike)
        decision = self._after_waiting(one, now_s)
        if decision is None and not one.is_overdue:
            at_s = one.since_s + self._limit_s(wanted)
            self._overdue_at_s = min(self._overdue_at_s, at_s)
        return decision

    def _in_turn(self, asking: list[_Waiting]) -> list[_Waiting]:
        """Of each segment one, then of each another one."""
        counts = self._of_segment.copy()
        ranked: list[tuple[int, int, _Waiting]] = []
        for number, one in enumerate(asking):
            ranked.append((counts[one.wanted.segment], number, one))
            counts[one.wanted.segment] += 1
        return [one for *_, one in sorted(ranked, key=lambda entry: entry[:2])]

    def _free(self, wanted: Wanted) -> _Host | None:
        """The machine that has room for a worker."""
        here = self._local
        if wanted.place == LOCAL:
            return here if here.gpus.has(wanted.gpus) else None
        if wanted.place == ANY and here.free > 0 and here.gpus.is_free(wanted.gpus):
            return here
        others = (one for one in self._hosts.values() if one is not here and one.takes_more)
        may = (one for one in others if one.free > 0 and one.offer.has(wanted.place))
        return max(
            (one for one in may if one.gpus.is_free(wanted.gpus)),
            key=lambda one: one.free,
            default=None,
        )

    def _after_waiting(self, one: _Waiting, now_s: float) -> Decision | None:
        wanted = one.wanted
        leaving = self._leaving[wanted.segment]
        is_first = self._is_first(wanted)
        one.is_overdue = now_s >= one.since_s + self._limit_s(wanted)
        if self._may_crowd(wanted):
            # (A GPU is not shared before there is need: what fits one often does not twice.)
            at_once = is_first and not wanted.gpus
            return self._put(wanted, self._local) if one.is_overdue or at_once else None
        if not one.is_overdue and wanted.place != LOCAL:
            return None
        is_there = any(self._may(wanted, host) for host in self._hosts.values())
        if wanted.place != LOCAL and (leaving or (is_there and not is_first)):
            return None  # it fills up what runs without it, or is to come instead of one that stays
        why = why_none(wanted.place, wanted.gpus, self._rooms)
        asked = f"a worker of {wanted.segment!r} has asked for {wish(wanted.place, wanted.gpus)}"
        if wanted.place == LOCAL:
            seen = len(self._local.offer.gpus)
            return NoPlace(
                wanted.worker,
                f"{asked}, which shows {seen}; with on='any', or a tag, it may run elsewhere",
            )
        return NoPlace(wanted.worker, f"{asked}, and there was none in time: {why}")

    def _put(self, wanted: Wanted, host: _Host) -> Place:
        place = Place(wanted.worker, host.offer.name, host.gpus.give(wanted.gpus))
        self._placed[wanted.worker] = wanted, place
        self._of_segment[wanted.segment] += 1
        if wanted.place == LOCAL and self._kept:
            self._kept -= 1  # its core was kept for it
        else:
            host.used += 1
        return place

    def _limit_s(self, wanted: Wanted) -> float:
        patience = self._patience
        if not self._may_crowd(wanted):
            return patience.elsewhere_s
        return patience.first_s if self._is_first(wanted) else patience.any_s

    def _is_first(self, wanted: Wanted) -> bool:
        """Whether its segment has no worker, but on machines that want to go."""
        return self._of_segment[wanted.segment] == self._leaving[wanted.segment]

    def _may_crowd(self, wanted: Wanted) -> bool:
        """Whether a worker may run here although there is no room."""
        return wanted.place == ANY and self._local.gpus.has(wanted.gpus)

    def _may(self, wanted: Wanted, host: _Host) -> bool:
        """Whether a worker could run on a machine that had nothing else to do."""
        is_there = host is self._local if wanted.place == LOCAL else host.offer.has(wanted.place)
        return is_there and host.takes_more and host.gpus.has(wanted.gpus)

    @property
    def _rooms(self) -> list[Room]:
        return [
            Room(one.offer, one.used, one.gpus.free)
            for one in self._hosts.values()
            if one.takes_more
        ]
