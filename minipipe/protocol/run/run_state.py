"""The state of a run and of its workers, which the parts of the lifecycle share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from minipipe.protocol.delivery.membership import LOCAL_HOST
from minipipe.protocol.run.events import Member, Outcome, Phase
from minipipe.protocol.run.restarts import Restarts


@dataclass
class WorkerState:
    """How far one worker is, and what it was told."""

    member: Member
    phase: Phase = Phase.STARTING
    unasked: bool = False  # its process is still to be asked for
    has_process: bool = False
    waits: bool = False  # for a machine that has room for it
    is_late: bool = False  # it came while the run was on: announced when it is ready
    is_additional: bool = False  # it takes nobody's place: counted when it is announced
    is_retiring: bool = False  # it is to leave in mid-run, or to be given up before it is known
    moves: bool = False  # its machine wants to go: it is to leave when another one is there
    has_heir: bool = False  # who is to come instead was asked for
    announced: bool = False  # it was told of the others, and they of it
    address: str = ""  # of its inbox
    host: str = LOCAL_HOST  # where that is
    failed: bool = False
    leave_sent: bool = False
    drained: bool = False
    takes_no_more: bool = False  # what still comes to it in this pass, it drops
    passes_begun: int = 0  # it was told to begin so many, the last of which may be on
    passes_done: int = 0  # it has come to the end of so many
    close_sent: bool = False  # if it keeps state: it was told that no more passes come
    is_leaving: bool = False  # a stop has reached it: what it does on the way out has its grace
    exit_at_s: float | None = None
    slow_exit_logged: bool = False
    killed_at_s: float | None = None
    killed_hard: bool = False
    unloadable: BaseException | None = None  # why it is to be started again by fork

    @property
    def is_counted(self) -> bool:
        """Whether others are told to count on it: not who leaves, or is only to be announced.

        One that has died is counted on, as whoever takes its place is from the start.
        """
        return not self.is_retiring and (self.announced or not self.is_additional)


@dataclass
class RunState:
    """What is known of a run as a whole, and of each of its workers."""

    workers: dict[int, WorkerState]
    restarts: Restarts
    grace_s: float
    outcome: Outcome | None = None  # decided at the first thing that ends it
    cause: BaseException | None = None
    launching: bool = False  # not all processes were asked for
    started: bool = False  # all were ready
    is_persistent: bool = False  # workers stay for more passes
    pass_: int = 0  # that is on, or is the next one
    passes_asked: int = 1
    closing: bool = False  # no more passes are to come
    stop_at_s: float | None = None
    broken: BaseException | None = None  # the last error of the supervisor's own
    now_s: float = 0.0

    @property
    def stopping(self) -> bool:
        """Whether it is cut short: workers have a limited time for their ends."""
        return self.stop_at_s is not None

    @property
    def pass_is_on(self) -> bool:
        """Whether a pass has begun, or may, once all are ready."""
        return self.passes_asked > self.pass_

    @property
    def present(self) -> list[WorkerState]:
        """Those that were announced and are not gone."""
        return [s for s in self.workers.values() if s.announced and s.phase < Phase.GONE]

    def around(self, state: WorkerState) -> list[WorkerState]:
        """Those that are present and have to do with this worker, itself if it is."""
        return [s for s in self.present if s.member.regions & state.member.regions]

    def known_to(self, state: WorkerState) -> list[WorkerState]:
        """Those of them that it has to know, and that have to know it."""
        member = state.member
        return [s for s in self.present if s is not state and member.must_know(s.member)]

    def of_segment(self, segment: int) -> list[WorkerState]:
        """All its workers that are not gone."""
        mine = [s for s in self.workers.values() if s.member.segment == segment]
        return [s for s in mine if s.phase < Phase.GONE]

    def count(self, segment: int) -> int:
        """How many workers a segment is to have."""
        return sum(s.is_counted for s in self.workers.values() if s.member.segment == segment)

    def counts_around(self, state: WorkerState) -> tuple[tuple[int, int], ...]:
        """How many workers each segment is to have that has to do with this worker."""
        counts: Counter[int] = Counter()
        for s in self.workers.values():  # a run of many workers does this for each of them
            if s.member.regions & state.member.regions:
                counts[s.member.segment] += s.is_counted
        return tuple(sorted(counts.items()))

    @property
    def all_done(self) -> bool:
        """Everybody has ended well and is on the way out: nothing can change that any more."""
        return all(s.phase >= Phase.DONE and not s.failed for s in self.workers.values())
