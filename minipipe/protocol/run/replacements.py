"""Deaths: a worker that died is replaced, or the run ends with that."""

from __future__ import annotations

from minipipe.protocol.run.actions import (
    Action,
    Dismiss,
    Inherit,
    LogDeath,
    SendFence,
    SendStop,
    SetAside,
    Spawn,
)
from minipipe.protocol.run.completion import Completion
from minipipe.protocol.run.events import Died, Outcome, Phase
from minipipe.protocol.run.restarts import PendingDeathReport
from minipipe.protocol.run.run_state import RunState, WorkerState
from minipipe.protocol.run.scaling import Scaling
from minipipe.protocol.run.stopping import Stopping


class Replacements:
    """Decides what becomes of a run when a worker's process is gone."""

    def __init__(
        self, run: RunState, completion: Completion, stopping: Stopping, scaling: Scaling
    ) -> None:
        self._run = run
        self._completion = completion
        self._stopping = stopping
        self._scaling = scaling

    def died(self, death: Died, now_s: float) -> list[Action]:
        """A worker's process is gone, as it was told, or not."""
        worker, cause = death.worker, death.cause
        state = self._run.workers[worker]
        if state.phase is Phase.GONE:
            return []
        if state.unloadable is not None and not self._run.stopping and not state.is_retiring:
            why, state.unloadable, state.killed_at_s = state.unloadable, None, None
            state.killed_hard = False
            return [Inherit(worker, why)]
        expected = state.exit_at_s is not None or state.killed_at_s is not None or state.failed
        if state.is_retiring and expected and not self._run.stopping:
            return self._scaling.gone(state)
        aside: list[Action] = []
        if not expected and not self._run.stopping and state.member.restarts:
            if state.leave_sent or state.phase is Phase.DONE:
                state.phase = Phase.GONE  # there is nothing left to do for it
                return self._completion.leave_if_done()
            fatal = self._run.restarts.judge(
                state.member,
                cause,
                death.item,
                now_s,
                death.known,
                counts=death.counts,
                beside=death.beside,
            )
            found, self._run.restarts.found = self._run.restarts.found, []
            aside = [SetAside(item, state.member.segment) for item in found]
            if fatal is None:
                return [*aside, *self._mend(state, now_s)]
            cause = fatal
        # Decided before it counts as gone: a death is not a way to be done.
        actions: list[Action] = []
        if not expected and self._run.stopping:
            saves = state.member.saves and state.phase is Phase.WIRED
            actions = self._stopping.failed_late(cause, counts=saves)
        elif not expected:
            actions = self._stopping.stop(Outcome.FAILED, cause, now_s)
        state.phase = Phase.GONE
        return aside + [a for a in actions if not (isinstance(a, SendStop) and a.worker == worker)]

    def _mend(self, state: WorkerState, now_s: float) -> list[Action]:
        """A new worker for a dead one; what was under way around it is sent again.

        One that was to leave is not replaced; nor one that was to move, if others are there.
        """
        restarts, dead = self._run.restarts, state.member.id
        state.phase = Phase.GONE
        del self._run.workers[dead]
        (region,) = state.member.works_in | state.member.receives_from
        actions: list[Action] = []
        successor: int | None = None
        if state.is_retiring:
            actions.append(Dismiss(dead))
        elif (counts := self._scaling.succeeded(state)) is not None:
            actions += [Dismiss(dead), *counts]
        else:
            new = restarts.replacement(state.member)
            unknown = state.is_additional and not state.announced
            self._run.workers[new.id] = WorkerState(new, is_late=True, is_additional=unknown)
            actions.append(Spawn(new, dead))
            successor = new.id
        senders: set[int] = set()
        epoch = restarts.mark_dead(dead, region, announced=state.announced)
        if state.announced:  # else nobody has had to do with it
            members = [s.member for s in self._run.present if region in s.member.regions]
            receivers = tuple(m.id for m in members if region in m.receives_from)
            segments = [state.member.segment, *(m.segment for m in members)]
            crash_suspects = restarts.crash_suspects(segments)
            dead_ids = tuple(restarts.dead)
            actions += [
                SendFence(
                    worker=m.id,
                    region=region,
                    epoch=epoch,
                    dead=dead_ids,
                    receivers=receivers,
                    crash_suspects=crash_suspects,
                )
                for m in members
            ]
            senders = {m.id for m in members if region in m.sends_to}
        restarts.note(PendingDeathReport(dead, region, epoch, now_s, senders, successor=successor))
        return actions

    def reported(self, now_s: float) -> list[Action]:
        """What is to be said now of deaths."""
        actions: list[Action] = []
        for report in self._run.restarts.due(now_s, self._is_placed):
            after = None
            if report.successor is not None:
                after = self._run.workers.get(report.successor)
            waits = after is not None and after.waits
            is_replaced = report.successor is not None
            actions.append(LogDeath(report.worker, report.items, is_replaced, waits))
        return actions

    def _is_placed(self, report: PendingDeathReport) -> bool:
        """Whether the one in its place has a process, or is known to wait for a machine.

        (Until then it was said to be there: senders may know what they send again before that.)
        """
        after = None if report.successor is None else self._run.workers.get(report.successor)
        return after is None or after.has_process or after.waits
