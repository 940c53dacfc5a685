"""The end of a run by itself: who has nothing more to expect, and whom nobody takes from."""

from __future__ import annotations

from collections.abc import Iterable

from minipipe.protocol.delivery.quiescence import Quiescence
from minipipe.protocol.run.actions import (
    Action,
    Kill,
    SendDrain,
    SendLeave,
)
from minipipe.protocol.run.events import Outcome, Phase
from minipipe.protocol.run.run_state import RunState, WorkerState
from minipipe.protocol.run.told import Counts


class Completion:
    """Decides who leaves, and which sources end, as workers come to their ends."""

    def __init__(self, run: RunState) -> None:
        self._run = run
        members = [state.member for state in run.workers.values()]
        self._loops = {
            loop: Quiescence(m.id for m in members if m.loop == loop)
            for loop in {m.loop for m in members if m.loop is not None}
        }

    def done(self, worker: int) -> list[Action]:
        """A worker has done all its work: others may have nothing more to expect, or to give."""
        state = self._run.workers[worker]
        state.phase = max(state.phase, Phase.DONE)
        return self.leave_if_done() + self.drain_what_nobody_takes()

    def segment_ended(self, worker: int) -> list[Action]:
        """A functor has ended its segment: the others in it leave, and what comes is dropped."""
        segment = self._run.workers[worker].member.segment
        others = [s for s in self._run.workers.values() if s.member.segment == segment]
        actions = self._leave(s for s in others if s.member.id != worker)
        self._run.workers[worker].takes_no_more = True
        return actions + self.drain_what_nobody_takes()

    def leave_if_done(self) -> list[Action]:
        """Stateless workers leave when every receiver and sender of their regions is done."""
        leaving = []
        for state in self._run.workers.values():
            regions = state.member.works_in
            if not state.member.is_stateless:
                continue
            ends = [
                s
                for s in self._run.workers.values()
                if (s.member.receives_from | s.member.sends_to) & regions
            ]
            if all(s.phase >= Phase.DONE for s in ends):
                leaving.append(state)
        return self._leave(leaving)

    def rested(self, worker: int, ended: bool, sent: Counts, received: Counts) -> list[Action]:
        """A loop in which everything rests has come to its end: its workers leave."""
        loop = self._run.workers[worker].member.loop
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
        return self._leave(s for s in self._run.workers.values() if s.member.loop == loop)

    def drain_what_nobody_takes(self) -> list[Action]:
        """Sources whose receivers have all ended yield no more: nobody would take it."""
        if self._run.stopping:
            return []
        actions: list[Action] = []
        for state in self._run.workers.values():
            regions = state.member.sends_to
            if not state.member.is_source or state.drained or state.phase >= Phase.DONE:
                continue
            takers = [s for s in self._run.workers.values() if s.member.receives_from & regions]
            if takers and all(s.phase >= Phase.DONE or s.takes_no_more for s in takers):
                state.drained = True
                actions.append(SendDrain(state.member.id))
        return actions

    def drain(self) -> list[Action]:
        """The user's wish that sources yield no more, and that the rest goes through to the end."""
        if self._run.stopping or self._run.all_done:
            return []
        self._run.outcome = self._run.outcome or Outcome.STOPPED
        there = [s.member for s in self._run.workers.values() if s.phase < Phase.DONE]
        # Joins hear of it first: what is left over when their sources end is then no mistake.
        joins = [SendDrain(m.id) for m in there if m.joins]
        return [*joins, *(SendDrain(m.id) for m in there if m.is_source)]

    def _leave(self, states: Iterable[WorkerState]) -> list[Action]:
        actions: list[Action] = []
        for state in states:
            if state.leave_sent or self._run.stopping or state.phase >= Phase.DONE:
                continue
            state.leave_sent = True
            if state.is_late and not state.announced:
                state.killed_at_s = self._run.now_s  # it is not even ready: nobody waits for that
                actions.append(Kill(state.member.id))
            else:
                actions.append(SendLeave(state.member.id))
        return actions
