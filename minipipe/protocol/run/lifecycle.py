"""The life of a run: what the supervisor does about what happens, decided without doing it.

`handle(event, now_s)` returns the actions to take, in order.  `deadline_s` says when to call
`handle(Tick(), now_s)` if nothing else happens before.  Times are seconds of any one clock.

A worker goes   starting -> bound -> wired -> done -> gone
                (process)   (inbox)  (peers known, local_init ran)  (local_term ran)
and the run     starting -> running -> ended, by way of stopping if it is cut short.
"""

from __future__ import annotations

from collections.abc import Iterable

from minipipe.protocol.run.actions import (
    Acquit,
    Action,
    Dismiss,
    Finish,
    Inherit,
    Kill,
    Launch,
    Launched,
    LogCutShort,
    LogDeath,
    LogLaterFailure,
    LogSlowExit,
    PassEnded,
    SendAbandon,
    SendCount,
    SendDrain,
    SendExit,
    SendFence,
    SendGone,
    SendInit,
    SendJoin,
    SendLeave,
    SendRetire,
    SendRetiring,
    SendStart,
    SendStop,
    SetAside,
    Spawn,
)
from minipipe.protocol.run.completion import Completion
from minipipe.protocol.run.events import (
    Began,
    Bound,
    Broke,
    CloseAsked,
    Died,
    Done,
    Event,
    Failed,
    LaunchFailed,
    Leaving,
    Member,
    MoveAsked,
    Outcome,
    PassAsked,
    PassDone,
    PassLeft,
    Phase,
    ProcessStarted,
    Resent,
    Rested,
    ScaleAsked,
    SegmentEnded,
    StopAsked,
    Tick,
    Unloadable,
    Waits,
    Wired,
)
from minipipe.protocol.run.exits import EXIT_S, SLOW_EXIT_S, STOP_S, Exits
from minipipe.protocol.run.filling import Filling
from minipipe.protocol.run.passes import Passes
from minipipe.protocol.run.replacements import Replacements
from minipipe.protocol.run.restarts import Restarts
from minipipe.protocol.run.run_state import RunState, WorkerState
from minipipe.protocol.run.scaling import Scaling
from minipipe.protocol.run.starting import Starting
from minipipe.protocol.run.stopping import MAX_TOLD, Stopping

__all__ = [
    "EXIT_S",
    "MAX_TOLD",
    "SLOW_EXIT_S",
    "STOP_S",
    "Acquit",
    "Action",
    "Began",
    "Bound",
    "Broke",
    "CloseAsked",
    "Died",
    "Dismiss",
    "Done",
    "Event",
    "Failed",
    "Finish",
    "Inherit",
    "Kill",
    "Launch",
    "LaunchFailed",
    "Launched",
    "Leaving",
    "Lifecycle",
    "LogCutShort",
    "LogDeath",
    "LogLaterFailure",
    "LogSlowExit",
    "Member",
    "Outcome",
    "PassAsked",
    "PassDone",
    "PassEnded",
    "PassLeft",
    "Phase",
    "ProcessStarted",
    "Resent",
    "Rested",
    "ScaleAsked",
    "SegmentEnded",
    "SendAbandon",
    "SendCount",
    "SendDrain",
    "SendExit",
    "SendFence",
    "SendGone",
    "SendInit",
    "SendJoin",
    "SendLeave",
    "SendRetire",
    "SendRetiring",
    "SendStart",
    "SendStop",
    "SetAside",
    "Spawn",
    "StopAsked",
    "Tick",
    "Unloadable",
    "Waits",
    "Wired",
]


class Lifecycle:
    """The decisions of one run.

    Attributes:
        finished: everybody is gone, or was given up.
        gave_up: the stop did not come to its end by itself.
    """

    def __init__(
        self,
        members: Iterable[Member],
        grace_s: float = 10.0,
        *,
        is_persistent: bool = False,
        first_pass: int = 0,
    ) -> None:
        self._workers = {m.id: WorkerState(m) for m in members}
        restarts = Restarts(max(self._workers, default=0) + 1)
        self._run = run = RunState(self._workers, restarts, grace_s, is_persistent=is_persistent)
        run.pass_, run.passes_asked = first_pass, first_pass + 1
        self._passes = Passes(run)
        self._completion = Completion(run)
        self._stopping = Stopping(run)
        self._scaling = Scaling(run)
        self._starting = Starting(run, Filling(run, self._scaling))
        self._replacements = Replacements(run, self._completion, self._stopping, self._scaling)
        self._exits = Exits(run)
        self.finished = False
        self.gave_up = False

    # -------------------------------------------------------------- queries
    @property
    def outcome(self) -> Outcome | None:
        """How it ends: decided at the first thing that ends it."""
        return self._run.outcome

    @property
    def cause(self) -> BaseException | None:
        """What it has failed with."""
        return self._run.cause

    @property
    def started(self) -> bool:
        """Whether all workers were ready, and told to start."""
        return self._run.started

    @property
    def is_at_work(self) -> bool:
        """Whether a pass is on, and all workers were ready for it."""
        return self._run.started and self._run.pass_is_on

    @property
    def broken(self) -> BaseException | None:
        """The last error of the supervisor's own."""
        return self._run.broken

    @property
    def stopping(self) -> bool:
        """Whether it is cut short."""
        return self._run.stopping

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
        run = self._run
        times = (self._exits.deadline_s, run.restarts.deadline_s, self._starting.deadline_s)
        return min((t for t in times if t is not None), default=None)

    # --------------------------------------------------------------- events
    def handle(self, event: Event, now_s: float) -> list[Action]:
        """What to do now."""
        if self.finished:
            return []
        run, restarts = self._run, self._run.restarts
        run.now_s = now_s
        worker = getattr(event, "worker", None)
        if worker is not None and worker not in self._workers:
            event = Tick()  # it was of one that has been replaced
        actions: list[Action] = []
        match event:
            case Began():
                actions += self._starting.begin()
            case ProcessStarted(worker):
                self._starting.started(worker)
            case Waits(worker, is_over):
                actions += self._starting.waits(worker, not is_over)
            case LaunchFailed(worker, cause):
                actions += self._stopping.launch_failed(worker, cause, now_s)
            case Bound(worker, address, host):
                actions += self._starting.bound(worker, address, host)
            case Unloadable(worker, cause):
                actions += self._starting.unloadable(worker, cause)
            case Wired(worker):
                actions += self._starting.wired(worker)
                actions += self._passes.go_on()
            case Leaving(worker):
                self._workers[worker].is_leaving = True
            case Done(worker):
                actions += self._completion.done(worker)
            case PassDone() | PassAsked() | PassLeft() | CloseAsked():
                actions += self._passes.handle(event)
            case Rested(worker, ended, sent, received):
                actions += self._completion.rested(worker, ended, sent, received)
            case SegmentEnded(worker):
                actions += self._completion.segment_ended(worker)
            case Failed(worker, cause, at_the_end):
                actions += self._stopping.failed(worker, cause, at_the_end=at_the_end)
            case Died():
                actions += self._replacements.died(event, now_s)
                actions += self._passes.look()
            case Resent(worker, region, epoch, items, settled):
                restarts.resent(worker, region, epoch, items)
                dropped = restarts.acquit(worker, settled)
                actions += [
                    Acquit((origin, number, outputs), segment)
                    for segment, origin, number, outputs, _ in dropped
                ]
            case StopAsked(drain, outcome, cause, kill):
                if drain and not kill:
                    actions += self._completion.drain()
                    actions += self._passes.no_more()
                else:
                    actions += self._stopping.stop(outcome, cause, now_s)
                if kill:
                    actions += self._stopping.kill_all(now_s)
            case ScaleAsked() | MoveAsked():
                self._scaling.handle(event)
            case Broke(cause):
                actions += self._stopping.break_off(cause, now_s)
            case Tick():
                actions += self._starting.launch()
        actions += self._scaling.adjust()
        actions += self._exits.exits(now_s)
        actions += self._exits.overdue(now_s)
        actions += self._replacements.reported(now_s)
        gives_up_at_s = self._exits.gives_up_at_s
        self.gave_up = gives_up_at_s is not None and now_s >= gives_up_at_s
        if self.gave_up or all(s.phase is Phase.GONE for s in self._workers.values()):
            self.finished = True
            run.outcome = run.outcome or Outcome.FINISHED
            actions.append(Finish(run.outcome))
        return actions
