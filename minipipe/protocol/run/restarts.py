"""Deaths that a run survives: which ones, what they cost, and what is to be said of them.

Rules 11, 16 and 18 of the delivery protocol (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from minipipe.errors import PoisonError, WorkerDiedError
from minipipe.protocol.delivery.intervals import IntervalSet
from minipipe.protocol.delivery.paths import Leaf, Outputs
from minipipe.protocol.run.events import Member
from minipipe.protocol.run.told import CrashSuspect

RESTARTS_S = 60.0  # `max_restarts` counts the deaths of a segment within this time
REPORT_S = 1.0  # so long the word of a death waits for how much has to be done again


@dataclass
class PendingDeathReport:
    """A death that nothing was said of yet."""

    worker: int
    region: int
    epoch: int
    at_s: float
    waits_for: set[int]  # senders that have not said how much they send again
    items: int = 0
    successor: int | None = None  # the one in its place; None: it was to leave


@dataclass
class Restarts:
    """What is known of deaths in one run."""

    next_id: int
    dead: IntervalSet = field(default_factory=IntervalSet)
    found: list[Leaf] = field(default_factory=list)  # poison of which nothing was said yet
    reports: list[PendingDeathReport] = field(default_factory=list)
    _epochs: Counter[int] = field(default_factory=Counter)
    # By segment: when, and at which items, each of its workers died.
    _deaths: dict[int, list[tuple[float, tuple[Leaf | None, ...]]]] = field(default_factory=dict)
    # By segment and item: the deaths at which it was in a functor of that segment.
    _crash_suspects: dict[tuple[int, Leaf], list[BaseException]] = field(default_factory=dict)

    # ------------------------------------------------------------------ the verdict
    def judge(
        self,
        member: Member,
        cause: BaseException,
        item: Leaf | None,
        now_s: float,
        known: int = 0,
        *,
        counts: bool = True,
        beside: tuple[Leaf, ...] = (),
    ) -> BaseException | None:
        """None if the run survives this death; else what it ends with.

        Args:
            item: what the worker's functor was at.
            known: how many deaths at it the worker had heard of when it began it.  Copies of an
                item that are in two functors at once (one is of an epoch that is over) and die
                together are one try of it; and nobody has kept it yet.
            counts: it is not the same death as another one's in its segment.
            beside: what it was at at the same time, in other threads.  Then nobody knows which of
                them is to blame, so none of them is poison by this; but each is a suspect, and
                is called alone from now on.
        """
        if not member.restarts:
            return cause
        deaths = self._deaths.setdefault(member.segment, [])
        if counts:
            deaths.append((now_s, (item, *beside)))
        deaths[:] = [death for death in deaths if death[0] > now_s - RESTARTS_S]
        if beside:
            for one in (item, *beside):
                if one is not None:
                    self._crash_suspects.setdefault((member.segment, one), [cause])
        elif item is not None:
            causes = self._crash_suspects.setdefault((member.segment, item), [])
            if known >= len(causes):
                causes.append(cause)
                if len(causes) == 2:
                    self.found.append(item)
                    if not member.skips_poison:
                        return _poisonous(causes)
            if len(causes) >= 2:  # the item was to blame, and is left out from now on
                deaths[:] = [death for death in deaths if item not in death[1]]
        if len(deaths) > member.max_restarts:
            return _too_many(cause, len(deaths), member.max_restarts)
        return None

    def replacement(self, member: Member) -> Member:
        """The worker that takes the place of a dead one; ids are never used twice."""
        new = replace(member, id=self.next_id)
        self.next_id += 1
        return new

    def crash_suspects(self, segments: Iterable[int]) -> tuple[CrashSuspect, ...]:
        """The open items that workers of these segments have died of.

        At one death they are suspects, at two poison.
        """
        wanted = frozenset(segments)
        return tuple(
            (segment, *item, len(deaths))
            for (segment, item), deaths in self._crash_suspects.items()
            if segment in wanted
        )

    def acquit(
        self, sender: int, settled: Iterable[tuple[int, int, Outputs]]
    ) -> list[CrashSuspect]:
        """Drops the crash suspects that are settled, as their sender says; which these were.

        Nobody gets such an item again, so every message would name it for nothing.
        """
        dropped: list[CrashSuspect] = []
        for segment, number, outputs in settled:
            item: Leaf = (sender, number, outputs)
            deaths = self._crash_suspects.pop((segment, item), None)
            if deaths is not None:
                dropped.append((segment, *item, len(deaths)))
        return dropped

    # ------------------------------------------------------------------ epochs
    def epoch(self, region: int) -> int:
        """The epoch that a region is in."""
        return self._epochs[region]

    def epochs(self, regions: Iterable[int]) -> tuple[tuple[int, int], ...]:
        """Those of several regions."""
        return tuple((region, self._epochs[region]) for region in sorted(regions))

    def begin_epoch(self, region: int) -> int:
        """The next epoch of a region, without a death."""
        self._epochs[region] += 1
        return self._epochs[region]

    def mark_dead(self, worker: int, region: int, *, announced: bool = True) -> int:
        """Books a death; the epoch of the region from now on.

        Args:
            announced: others have had to do with it.  Else nothing changes for them, but its id is
                dead all the same, so that the dead ids have no gaps.
        """
        self.dead.add(worker, worker + 1)
        self._epochs[region] += announced
        return self._epochs[region]

    # ------------------------------------------------------------------ what is said of it
    def note(self, report: PendingDeathReport) -> None:
        """To be said of this death what it costs, as soon as that is known."""
        self.reports.append(report)

    def resent(self, sender: int, region: int, epoch: int, items: int) -> None:
        """A sender has said how many items it sends again."""
        for report in self.reports:
            # What it says of a later epoch holds for a death before, too.
            if report.region == region and report.epoch <= epoch and sender in report.waits_for:
                report.waits_for.discard(sender)
                report.items += items

    def due(
        self, now_s: float, is_known: Callable[[PendingDeathReport], bool]
    ) -> list[PendingDeathReport]:
        """Deaths of which it is known what they cost, or that have waited long enough.

        Args:
            is_known: whether it is known what has become of the one in its place.
        """
        due = [
            n
            for n in self.reports
            if now_s >= n.at_s + REPORT_S or (not n.waits_for and is_known(n))
        ]
        self.reports = [n for n in self.reports if n not in due]
        return due

    @property
    def deadline_s(self) -> float | None:
        """When something is due at the latest."""
        return min((n.at_s + REPORT_S for n in self.reports), default=None)


def _too_many(cause: BaseException, deaths: int, allowed: int) -> BaseException:
    if not isinstance(cause, WorkerDiedError):
        return cause
    return cause.then(
        f"; that was death {deaths} in this segment within {RESTARTS_S:.0f} s "
        f"(max_restarts={allowed}), so the run was stopped"
    )


def _poisonous(causes: list[BaseException]) -> BaseException:
    first, second = causes
    if not isinstance(first, WorkerDiedError) or not isinstance(second, WorkerDiedError):
        return second
    return PoisonError(second.segment, second.item, first.description, second.description)
