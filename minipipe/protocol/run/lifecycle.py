"""The life of a run: what the supervisor does about what happens, decided without doing it.

`handle(event, now_s)` returns the actions to take, in order.  `deadline_s` says when to call
`handle(Tick(), now_s)` if nothing else happens before.  Times are seconds of any one clock.

A worker goes   starting -> bound -> wired -> done -> gone
                (process)   (inbox)  (peers known, local_init ran)  (local_term ran)
and the run     starting -> running -> ended, by way of stopping if it is cut short.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from minipipe.protocol.delivery.membership import Peer
from minipipe.protocol.delivery.quiescence import Quiescence
from minipipe.protocol.run.actions import (
    Acquit,
    Action,
    Finish,
    Inherit,
    Kill,
    LogCutShort,
    LogDeath,
    LogLaterFailure,
    SendDrain,
    SendExit,
    SendFence,
    SendInit,
    SendJoin,
    SendLeave,
    SendStart,
    SendStop,
    SetAside,
    Spawn,
    TellSlowExit,
)
from minipipe.protocol.run.events import (
    Bound,
    Broke,
    Counts,
    Died,
    Done,
    Event,
    Failed,
    Leaving,
    Member,
    Outcome,
    Phase,
    Resent,
    Rested,
    SegmentEnded,
    StopAsked,
    Tick,
    Unloadable,
    Wired,
)
from minipipe.protocol.run.restarts import PendingDeathReport, Restarts

__all__ = [
    "EXIT_S",
    "SLOW_EXIT_S",
    "STOP_S",
    "Acquit",
    "Action",
    "Bound",
    "Broke",
    "Died",
    "Done",
    "Event",
    "Failed",
    "Finish",
    "Inherit",
    "Kill",
    "Leaving",
    "Lifecycle",
    "LogCutShort",
    "LogDeath",
    "LogLaterFailure",
    "Member",
    "Outcome",
    "Phase",
    "Resent",
    "Rested",
    "SegmentEnded",
    "SendDrain",
    "SendExit",
    "SendFence",
    "SendInit",
    "SendJoin",
    "SendLeave",
    "SendStart",
    "SendStop",
    "SetAside",
    "Spawn",
    "StopAsked",
    "TellSlowExit",
    "Tick",
    "Unloadable",
    "Wired",
]

STOP_S = 1.0  # a worker gets this long to heed a stop, if it has nothing to save
EXIT_S = 1.0  # and at least this long, after a stop, from being told to exit until it is gone
SLOW_EXIT_S = 10.0  # what a worker's end waits for at a normal end is said after this
MAX_TOLD = 5  # so many errors of the supervisor's own are told one by one


@dataclass
class _State:
    member: Member
    phase: Phase = Phase.STARTING
    is_late: bool = False  # it takes the place of another one: announced when it is ready
    announced: bool = False  # it was told of the others, and they of it
    address: str = ""
    failed: bool = False
    told_leave: bool = False
    drained: bool = False
    takes_no_more: bool = False  # what still comes to it, it drops
    is_leaving: bool = False  # a stop has reached it: what it does on the way out has its grace
    exit_at_s: float | None = None
    told_slow: bool = False
    killed_at_s: float | None = None
    killed_hard: bool = False
    unloadable: BaseException | None = None  # why it is to be started again by fork


@dataclass
class Lifecycle:
    """The decisions of one run."""

    members: Iterable[Member]
    grace_s: float = 10.0
    outcome: Outcome | None = None  # decided at the first thing that ends it
    cause: BaseException | None = None
    started: bool = False
    finished: bool = False
    stop_at_s: float | None = None
    broken: BaseException | None = None  # the last error of the supervisor's own
    gave_up: bool = False  # the stop did not come to its end by itself
    _broke: int = 0
    _workers: dict[int, _State] = field(default_factory=dict)
    _loops: dict[int, Quiescence] = field(default_factory=dict)
    _restarts: Restarts = field(init=False)
    _now_s: float = 0.0

    def __post_init__(self) -> None:
        self._workers = {m.id: _State(m) for m in self.members}
        self._restarts = Restarts(max(self._workers, default=0) + 1)
        loops = {m.loop for m in self.members if m.loop is not None}
        self._loops = {
            loop: Quiescence(m.id for m in self.members if m.loop == loop) for loop in loops
        }

    # -------------------------------------------------------------- queries
    @property
    def stopping(self) -> bool:
        return self.stop_at_s is not None

    @property
    def ready(self) -> int:
        """How many workers are ready to start, the caller's loop aside."""
        workers = self._workers.values()
        return sum(s.phase >= Phase.WIRED and not s.member.is_caller for s in workers)

    def phase(self, worker: int) -> Phase:
        """How far a worker is; one that was replaced is gone, and not known any more."""
        state = self._workers.get(worker)
        return Phase.GONE if state is None else state.phase

    @property
    def deadline_s(self) -> float | None:
        """When a Tick is due."""
        times = [self._kill_at_s(s) for s in self._workers.values() if s.phase < Phase.GONE]
        times += [self._slow_at_s(s) for s in self._workers.values()]
        times += [self._restarts.deadline_s, self._gives_up_at_s]
        return min((t for t in times if t is not None), default=None)

    @property
    def _gives_up_at_s(self) -> float | None:
        """When a run whose supervisor fails itself ends, however far the stop has come.

        (What has failed may be what would have ended it: an order, or the word of a death.)
        """
        if self.broken is None or self.stop_at_s is None:
            return None
        saves = any(s.member.saves for s in self._workers.values())
        return self.stop_at_s + (self.grace_s if saves else STOP_S) + 3 * EXIT_S

    def _kill_at_s(self, state: _State) -> float | None:
        if state.member.is_caller or state.killed_hard:
            return None
        if state.killed_at_s is not None:
            # Harder only when nobody is left who might still be saving something.
            others = [s for s in self._workers.values() if s.phase is not Phase.GONE]
            if any(s.killed_at_s is None and not s.member.is_caller for s in others):
                return None
            return state.killed_at_s + EXIT_S
        if self.stop_at_s is None:
            return None  # a program has all the time that it needs for its end
        # One grace for all of a worker's end: `finally` in its functor, local_term, its process.
        grace_at_s = self.stop_at_s + self.grace_s
        if state.exit_at_s is not None:
            return max(grace_at_s, state.exit_at_s + EXIT_S)
        if state.phase >= Phase.DONE:
            return None
        # local_init has not run: nothing to save.
        if state.member.saves and state.phase is Phase.WIRED and not state.failed:
            return grace_at_s
        heeded_at_s = self.stop_at_s + STOP_S
        return max(grace_at_s, heeded_at_s) if state.is_leaving else heeded_at_s

    def _slow_at_s(self, state: _State) -> float | None:
        """When it is to be said what the end of its process waits for."""
        if state.exit_at_s is None or state.told_slow or state.phase is Phase.GONE:
            return None
        return None if self.stopping or state.member.is_caller else state.exit_at_s + SLOW_EXIT_S

    # --------------------------------------------------------------- events
    def handle(self, event: Event, now_s: float) -> list[Action]:
        """What to do now."""
        if self.finished:
            return []
        self._now_s = now_s
        worker = getattr(event, "worker", None)
        if worker is not None and worker not in self._workers:
            event = Tick()  # it was of one that has been replaced
        actions: list[Action] = []
        match event:
            case Bound(worker, address):
                actions += self._bound(worker, address)
            case Unloadable(worker, cause):
                actions += self._unloadable(worker, cause)
            case Wired(worker):
                actions += self._wired(worker)
            case Leaving(worker):
                self._workers[worker].is_leaving = True
            case Done(worker):
                state = self._workers[worker]
                state.phase = max(state.phase, Phase.DONE)
                actions += self._leave_if_done()
                actions += self._drain_what_nobody_takes()
            case Rested(worker, ended, sent, received):
                actions += self._rested(worker, ended, sent, received)
            case SegmentEnded(worker):
                segment = self._workers[worker].member.segment
                others = [s for s in self._workers.values() if s.member.segment == segment]
                actions += self._leave(s for s in others if s.member.id != worker)
                self._workers[worker].takes_no_more = True
                actions += self._drain_what_nobody_takes()
            case Failed(worker, cause, at_the_end):
                self._workers[worker].failed = True
                if self.stopping:
                    actions += self._failed_late(cause, counts=at_the_end)
                else:
                    actions += self._stop(Outcome.FAILED, cause, now_s)
            case Died():
                actions += self._died(event, now_s)
            case Resent(worker, region, epoch, items, settled):
                self._restarts.resent(worker, region, epoch, items)
                dropped = self._restarts.acquit(worker, settled)
                actions += [
                    Acquit((origin, number, outputs), segment)
                    for segment, origin, number, outputs, _ in dropped
                ]
            case StopAsked(drain, outcome, cause, kill):
                if drain and not kill:
                    actions += self._drain()
                else:
                    actions += self._stop(outcome, cause, now_s)
                if kill:
                    actions += self._kill_all(now_s)
            case Broke(cause):
                actions += self._break(cause, now_s)
            case Tick():
                pass
        actions += self._exits(now_s)
        actions += self._overdue(now_s)
        actions += [LogDeath(n.worker, n.items) for n in self._restarts.due(now_s)]
        gives_up_at_s = self._gives_up_at_s
        self.gave_up = gives_up_at_s is not None and now_s >= gives_up_at_s
        if self.gave_up or all(s.phase is Phase.GONE for s in self._workers.values()):
            self.finished = True
            self.outcome = self.outcome or Outcome.FINISHED
            actions.append(Finish(self.outcome))
        return actions

    def _bound(self, worker: int, address: str) -> list[Action]:
        state = self._workers[worker]
        if state.phase is not Phase.STARTING:
            return []
        state.phase, state.address = Phase.BOUND, address
        actions: list[Action] = [] if state.is_late else self._announce(state)
        if self.stopping:
            actions.append(SendStop(worker, self.outcome or Outcome.STOPPED))
        return actions

    def _unloadable(self, worker: int, cause: BaseException) -> list[Action]:
        state = self._workers[worker]
        state.killed_at_s = self._now_s
        if self.stopping:
            return [LogLaterFailure(cause), Kill(worker)]
        state.unloadable = cause
        return [Kill(worker)]

    def _announce(self, state: _State) -> list[Action]:
        """Tells a worker of the others, and them of it."""
        state.announced = True
        worker, new = state.member.id, self._peer(state)
        # Those who have to do with it: FENCE goes to the same, and tells them when it is dead.
        regions = state.member.regions
        others = [s for s in self._present if s is not state and s.member.regions & regions]
        restarts = self._restarts
        init = SendInit(
            worker,
            tuple(self._peer(s) for s in others),
            restarts.epochs(r for r in state.member.regions if restarts.epoch(r)),
            tuple(restarts.dead),
            restarts.crash_suspects([state.member.segment]),
        )
        return [init, *(SendJoin(s.member.id, new) for s in others)]

    @property
    def _present(self) -> list[_State]:
        """Those that were announced and are not gone."""
        return [s for s in self._workers.values() if s.announced and s.phase < Phase.GONE]

    def _wired(self, worker: int) -> list[Action]:
        state = self._workers[worker]
        if state.phase is not Phase.BOUND:
            return []
        state.phase = Phase.WIRED
        if not state.is_late:
            return self._start_if_ready()
        actions = self._announce(state)  # ready only now, as its local_init may take long
        return actions + ([SendStart(worker)] if self.started else self._start_if_ready())

    @staticmethod
    def _peer(state: _State) -> Peer:
        return Peer(state.member.id, state.member.segment, state.address)

    def _start_if_ready(self) -> list[Action]:
        if self.started or self.stopping:
            return []
        if any(s.phase < Phase.WIRED for s in self._workers.values()):
            return []
        self.started = True
        return [SendStart(s.member.id) for s in self._present]

    def _leave_if_done(self) -> list[Action]:
        """Stateless workers leave when every receiver and sender of their regions is done."""
        leaving = []
        for state in self._workers.values():
            regions = state.member.works_in
            if not state.member.is_stateless:
                continue
            ends = [
                s
                for s in self._workers.values()
                if (s.member.receives_from | s.member.sends_to) & regions
            ]
            if all(s.phase >= Phase.DONE for s in ends):
                leaving.append(state)
        return self._leave(leaving)

    def _leave(self, states: Iterable[_State]) -> list[Action]:
        actions: list[Action] = []
        for state in states:
            if state.told_leave or self.stopping or state.phase >= Phase.DONE:
                continue
            state.told_leave = True
            if state.is_late and not state.announced:
                state.killed_at_s = self._now_s  # it is not even ready: nobody waits for that
                actions.append(Kill(state.member.id))
            else:
                actions.append(SendLeave(state.member.id))
        return actions

    def _rested(self, worker: int, ended: bool, sent: Counts, received: Counts) -> list[Action]:
        """A loop in which everything rests has come to its end: its workers leave."""
        loop = self._workers[worker].member.loop
        assert loop is not None
        quiescence = self._loops[loop]
        report = quiescence.ended if ended else quiescence.quiet
        report(
            worker,
            {(stream, worker, other): count for stream, other, count in sent},
            {(stream, other, worker): count for stream, other, count in received},
        )
        if not quiescence.at_rest:
            return []
        return self._leave(s for s in self._workers.values() if s.member.loop == loop)

    def _drain_what_nobody_takes(self) -> list[Action]:
        """Sources whose receivers have all ended yield no more: nobody would take it."""
        if self.stopping:
            return []
        actions: list[Action] = []
        for state in self._workers.values():
            regions = state.member.sends_to
            if not state.member.is_source or state.drained or state.phase >= Phase.DONE:
                continue
            takers = [s for s in self._workers.values() if s.member.receives_from & regions]
            if takers and all(s.phase >= Phase.DONE or s.takes_no_more for s in takers):
                state.drained = True
                actions.append(SendDrain(state.member.id))
        return actions

    def _died(self, death: Died, now_s: float) -> list[Action]:
        worker, cause = death.worker, death.cause
        state = self._workers[worker]
        if state.phase is Phase.GONE:
            return []
        if state.unloadable is not None and not self.stopping:
            why, state.unloadable, state.killed_at_s = state.unloadable, None, None
            state.killed_hard = False
            return [Inherit(worker, why)]
        expected = state.exit_at_s is not None or state.killed_at_s is not None or state.failed
        aside: list[Action] = []
        if not expected and not self.stopping and state.member.restarts:
            if state.told_leave or state.phase is Phase.DONE:
                state.phase = Phase.GONE  # there is nothing left to do for it
                return self._leave_if_done()
            fatal = self._restarts.judge(
                state.member, cause, death.item, now_s, death.known, counts=death.counts
            )
            found, self._restarts.found = self._restarts.found, []
            aside = [SetAside(item, state.member.segment) for item in found]
            if fatal is None:
                return [*aside, *self._mend(state, now_s)]
            cause = fatal
        # Decided before it counts as gone: a death is not a way to be done.
        actions: list[Action] = []
        if not expected and self.stopping:
            saves = state.member.saves and state.phase is Phase.WIRED
            actions = self._failed_late(cause, counts=saves)
        elif not expected:
            actions = self._stop(Outcome.FAILED, cause, now_s)
        state.phase = Phase.GONE
        return aside + [a for a in actions if not (isinstance(a, SendStop) and a.worker == worker)]

    def _mend(self, state: _State, now_s: float) -> list[Action]:
        """A new worker for a dead one; what was under way around it is sent again."""
        restarts, dead = self._restarts, state.member.id
        state.phase = Phase.GONE
        del self._workers[dead]
        new = restarts.replacement(state.member)
        self._workers[new.id] = _State(new, is_late=True)
        (region,) = new.works_in | new.receives_from
        actions: list[Action] = [Spawn(new, dead)]
        senders: set[int] = set()
        epoch = restarts.mark_dead(dead, region, announced=state.announced)
        if state.announced:  # else nobody has had to do with it
            members = [s.member for s in self._present if region in s.member.regions]
            receivers = tuple(m.id for m in members if region in m.receives_from)
            crash_suspects = restarts.crash_suspects([new.segment, *(m.segment for m in members)])
            about = (region, epoch, tuple(restarts.dead), receivers, crash_suspects)
            actions += [SendFence(m.id, *about) for m in members]
            senders = {m.id for m in members if region in m.sends_to}
        restarts.note(PendingDeathReport(dead, region, epoch, now_s, senders))
        return actions

    def _failed_late(self, cause: BaseException, *, counts: bool) -> list[Action]:
        """What becomes of a failure after the run was stopped.

        Args:
            counts: something was to be saved and was not.  (A functor that raises when it is
                stopped does so because of that.)
        """
        if self.cause is not None or not counts:
            return [LogLaterFailure(cause)]
        self.cause = cause
        if self.outcome is not Outcome.INTERRUPTED:
            self.outcome = Outcome.FAILED
        return []

    def _break(self, cause: BaseException, now_s: float) -> list[Action]:
        """An error of the supervisor's own ends the run as any other failure does.

        Those that come while it is being stopped are told, but not without end: telling may be
        what fails.
        """
        self.broken = cause
        self._broke += 1
        if not self.stopping and self._all_done:  # they are on their way out already
            self.stop_at_s = now_s
        if self.stopping:
            return self._failed_late(cause, counts=True) if self._broke <= MAX_TOLD else []
        return self._stop(Outcome.FAILED, cause, now_s)

    def _drain(self) -> list[Action]:
        if self.stopping or self._all_done:
            return []
        self.outcome = self.outcome or Outcome.STOPPED
        there = [s.member for s in self._workers.values() if s.phase < Phase.DONE]
        # Joins hear of it first: what is left over when their sources end is then no mistake.
        joins = [SendDrain(m.id) for m in there if m.joins]
        return [*joins, *(SendDrain(m.id) for m in there if m.is_source)]

    def _stop(self, outcome: Outcome, cause: BaseException | None, now_s: float) -> list[Action]:
        if self.stopping:
            return []
        if self._all_done:
            self.stop_at_s = now_s  # from here on their ends have no more than their grace
            return []
        if outcome is Outcome.FAILED or self.outcome is None:
            self.outcome, self.cause = outcome, cause
        self.stop_at_s = now_s
        return [
            SendStop(s.member.id, self.outcome)
            for s in self._workers.values()
            if Phase.BOUND <= s.phase < Phase.DONE and not s.failed
        ]

    @property
    def _all_done(self) -> bool:
        """Everybody has ended well and is on the way out: nothing can change that any more."""
        return all(s.phase >= Phase.DONE and not s.failed for s in self._workers.values())

    def _kill_all(self, now_s: float) -> list[Action]:
        actions: list[Action] = []
        for state in self._workers.values():
            if state.phase is Phase.GONE or state.killed_at_s is not None:
                continue
            state.killed_at_s = now_s
            actions.append(Kill(state.member.id))
        return actions

    def _exits(self, now_s: float) -> list[Action]:
        """Whom to tell to exit: all at once when all are done; each that is done if stopping."""
        waiting = [s for s in self._workers.values() if s.phase is not Phase.GONE]
        all_done = all(s.phase is Phase.DONE for s in waiting)
        actions: list[Action] = []
        for state in waiting:
            if state.exit_at_s is not None:
                continue
            leaves = state.phase is Phase.DONE or state.failed
            if leaves and (all_done or self.stopping):
                state.exit_at_s = now_s
                actions.append(SendExit(state.member.id))
        return actions

    def _overdue(self, now_s: float) -> list[Action]:
        actions: list[Action] = []
        for state in self._workers.values():
            at_s = self._kill_at_s(state)
            if state.phase is not Phase.GONE and at_s is not None and now_s >= at_s:
                saves = state.member.saves and state.phase is Phase.WIRED and not state.failed
                had_grace = saves or state.is_leaving or state.exit_at_s is not None
                if had_grace and state.killed_at_s is None:
                    actions.append(LogCutShort(state.member.id))
                state.killed_hard = state.killed_at_s is not None
                state.killed_at_s = now_s
                actions.append(Kill(state.member.id, state.killed_hard))
            slow_at_s = self._slow_at_s(state)
            if slow_at_s is not None and now_s >= slow_at_s:
                state.told_slow = True
                actions.append(TellSlowExit(state.member.id))
        return actions
