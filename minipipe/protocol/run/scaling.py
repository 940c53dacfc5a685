"""Workers that join and leave in mid-run: rules 22 to 25 of the delivery protocol.

An additional worker joins as a replacement does, and no epoch changes.  One that is to leave takes
nothing new, works off what it has, and goes when all that it has sent was taken up: no death.

Where a machine wants to go, its workers are to leave, and as many are to come elsewhere: one leaves
when another one is ready, or waits for room; somebody of the segment is always there.
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
from minipipe.protocol.run.events import MoveAsked, Phase, ScaleAsked
from minipipe.protocol.run.run_state import RunState, WorkerState


class Scaling:
    """Brings segments to the numbers of workers that are wished for."""

    def __init__(self, run: RunState) -> None:
        self._run = run
        self._wanted: dict[int, int] = {}  # by segment; what is reached is forgotten
        self._moving: set[int] = set()  # segments with workers that are to leave their machine

    def handle(self, event: ScaleAsked | MoveAsked) -> None:
        """Takes up a wish; `adjust` does the rest."""
        if isinstance(event, ScaleAsked):
            self.asked(event.segment, event.workers)
            return
        for ident in event.workers:
            state = self._run.workers.get(ident)
            if state is not None and not state.is_retiring and state.phase < Phase.DONE:
                segment = state.member.segment
                self._wanted.setdefault(segment, len(self._staying(segment)))
                self._moving.add(segment)
                state.moves = True

    def _there(self, segment: int) -> list[WorkerState]:
        """Those that were not told to leave."""
        return [s for s in self._run.of_segment(segment) if not s.is_retiring]

    def _staying(self, segment: int) -> list[WorkerState]:
        """Those of them that are not to leave, either."""
        return [s for s in self._there(segment) if not s.moves]

    def asked(self, segment: int, workers: int) -> None:
        """A segment of stateless workers is to have so many, one at least."""
        self._wanted[segment] = workers

    def adjust(self) -> list[Action]:
        """The next steps towards what is wished for, as far as they can be done now."""
        actions: list[Action] = []
        if not self._run.started:
            return actions  # which waits for all workers that there are
        for segment, wanted in list(self._wanted.items()):
            if self._is_over(segment):
                del self._wanted[segment]
                continue
            if any(s.is_retiring and not s.announced for s in self._run.of_segment(segment)):
                continue  # whose places are to be theirs who come instead
            staying = self._staying(segment)
            if len(staying) < wanted:
                actions += self._more(segment, wanted - len(staying))
            elif len(staying) > wanted:
                actions += self._fewer(staying, len(staying) - wanted)
            if len(self._staying(segment)) == wanted:
                del self._wanted[segment]
        for segment in sorted(self._moving):
            actions += self._move(segment)
        return actions

    def _is_over(self, segment: int) -> bool:
        """Whether it has come to its end."""
        there = self._there(segment)
        is_over = not there or any(s.leave_sent or s.phase >= Phase.DONE for s in there)
        return self._run.stopping or is_over

    def _more(self, segment: int, count: int) -> list[Action]:
        """Additional workers; those of whom one is to leave come first, as where it may run."""
        there = self._there(segment)
        likes = [s for s in there if s.moves and not s.has_heir][:count]
        for state in likes:
            state.has_heir = True
        likes += there[:1] * (count - len(likes))
        return [self._one_more(like) for like in likes]

    def _move(self, segment: int) -> list[Action]:
        """Lets those leave whose machine wants to go, as far as others are there for them."""
        moving = [s for s in self._there(segment) if s.moves]
        if not moving or self._is_over(segment):
            self._moving.discard(segment)
            return []
        actions: list[Action] = []
        for state in moving:
            if state.is_additional and not state.announced:
                actions.append(self._give_up(state))
        staying = self._staying(segment)
        is_there = any(s.announced and s.phase is Phase.WIRED for s in staying)
        # Each that comes soon is waited for; who waits for room may wait for ever.
        coming = sum(not (s.announced or s.waits) for s in staying)
        coming += max(0, self._wanted.get(segment, 0) - len(staying))  # nor asked for yet
        known = [s for s in moving if s.announced and s.phase is Phase.WIRED]
        may_leave = len(known) - (max(coming, 1 - is_there))
        for state in known[: max(0, may_leave)]:
            actions += self._retire(state)
        return actions

    def _give_up(self, state: WorkerState) -> Action:
        """Ends one that nobody knows of yet."""
        state.is_retiring, state.killed_at_s = True, self._run.now_s
        return Kill(state.member.id)

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
                actions.append(self._give_up(state))
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

    def succeeded(self, dead: WorkerState) -> list[Action] | None:
        """One that was to move has died: what follows, if others are to come, or are there.

        Returns:
            None: somebody has to take its place, as if it had not been to move.
        """
        if not dead.moves or not self._run.started:
            return None
        segment = dead.member.segment
        others = self._there(segment)
        heir = next((s for s in others if s.is_additional and not s.announced), None)
        if heir is not None:
            heir.is_additional = False  # it is counted on from now on, as the dead one was
            return []
        if not any(s.announced for s in others):
            return None
        count = self._run.count(segment)
        return [SendCount(s.member.id, segment, count) for s in self._run.around(dead)]

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
