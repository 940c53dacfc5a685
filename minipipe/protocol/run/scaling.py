"""Workers that join and leave in mid-run: rules 22 to 25 of the delivery protocol.

An additional worker joins as a replacement does, and no epoch changes.  One that is to leave takes
nothing new, works off what it has, and goes when all that it has sent was taken up: no death.
"""

from __future__ import annotations

from minipipe.protocol.run.actions import (
    Action,
    Dismiss,
    Kill,
    SendCount,
    SendGone,
    SendRetire,
    SendRetiring,
    Spawn,
)
from minipipe.protocol.run.events import Phase
from minipipe.protocol.run.run_state import RunState, WorkerState


class Scaling:
    """Brings segments to the numbers of workers that are wished for."""

    def __init__(self, run: RunState) -> None:
        self._run = run
        self._wanted: dict[int, int] = {}  # by segment; what is reached is forgotten

    def asked(self, segment: int, workers: int) -> None:
        """A segment of stateless workers is to have so many, one at least."""
        self._wanted[segment] = workers

    def adjust(self) -> list[Action]:
        """The next steps towards what is wished for, as far as they can be done now."""
        actions: list[Action] = []
        if not self._run.started:
            return actions  # which waits for all workers that there are
        for segment, wanted in list(self._wanted.items()):
            there = [s for s in self._run.of_segment(segment) if not s.is_retiring]
            is_over = not there or any(s.leave_sent or s.phase >= Phase.DONE for s in there)
            if self._run.stopping or is_over:
                del self._wanted[segment]  # it has come to its end
                continue
            if any(s.is_retiring and not s.announced for s in self._run.of_segment(segment)):
                continue  # whose places are to be theirs who come instead
            if len(there) < wanted:
                actions += [self._one_more(there[0]) for _ in range(wanted - len(there))]
            elif len(there) > wanted:
                actions += self._fewer(there, len(there) - wanted)
            if sum(not s.is_retiring for s in self._run.of_segment(segment)) == wanted:
                del self._wanted[segment]
        return actions

    def _one_more(self, like: WorkerState) -> Action:
        new = self._run.restarts.replacement(like.member)
        self._run.workers[new.id] = WorkerState(new, is_late=True, is_additional=True)
        return Spawn(new, like.member.id, is_additional=True)

    def _fewer(self, there: list[WorkerState], count: int) -> list[Action]:
        """Those that came last go first, if they can: one that is announced always stays."""
        actions: list[Action] = []
        staying = sum(s.announced for s in there)
        for state in sorted(there, key=lambda s: s.member.id, reverse=True):
            if not count:
                break
            if state.is_additional and not state.announced:
                state.is_retiring, state.killed_at_s = True, self._run.now_s
                actions.append(Kill(state.member.id))  # nobody knows of it yet
                count -= 1
            elif state.phase is Phase.WIRED and staying > 1:
                actions += self._retire(state)
                staying, count = staying - 1, count - 1
        return actions

    def _retire(self, state: WorkerState) -> list[Action]:
        """Tells a worker that it is to leave, and those around it."""
        state.is_retiring = True
        member = state.member
        around = [s.member for s in self._run.around(state) if s is not state]
        producers = tuple(m.id for m in around if m.segment in member.fed_by)
        count = self._run.count(member.segment)
        return [
            SendRetire(member.id, producers),
            *(SendCount(m.id, member.segment, count) for m in around),
            *(SendRetiring(producer, member.id) for producer in producers),
        ]

    def gone(self, state: WorkerState) -> list[Action]:
        """One that was to leave has: nothing of it is under way, so it counts with the dead."""
        ident = state.member.id
        del self._run.workers[ident]
        self._run.restarts.dead.add(ident, ident + 1)
        told = self._run.around(state) if state.announced else []
        return [Dismiss(ident), *(SendGone(s.member.id, ident) for s in told)]


def counted(run: RunState, state: WorkerState) -> list[Action]:
    """What those around an additional worker are told of it before it joins."""
    if not state.is_additional:
        return []
    segment = state.member.segment
    count = run.count(segment)
    others = [s for s in run.around(state) if s is not state]
    return [SendCount(s.member.id, segment, count) for s in others]
