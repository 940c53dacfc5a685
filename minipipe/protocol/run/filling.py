"""A run begins when each of its segments has workers, and fills up as machines join.

Who waits for a machine is not waited for, if its segment is stateless and another worker of it is
ready.  Nobody has been told of it yet, so it is given up, and wished for again as an additional
worker (rules 22 to 25): that one may come at any time, or never.
"""

from __future__ import annotations

from collections import Counter

from minipipe.protocol.run.actions import Action, Kill, SendCount
from minipipe.protocol.run.events import Phase
from minipipe.protocol.run.run_state import RunState, WorkerState
from minipipe.protocol.run.scaling import Scaling


class Filling:
    """Decides whether a run can begin, and without whom."""

    def __init__(self, run: RunState, scaling: Scaling) -> None:
        self._run, self._scaling = run, scaling

    @property
    def can_begin(self) -> bool:
        """Whether all are ready that the run cannot begin without."""
        missing = [s for s in self._run.workers.values() if s.phase < Phase.WIRED]
        if not missing:
            return True
        ready = {s.member.segment for s in self._run.workers.values() if s.phase is Phase.WIRED}
        return all(self._is_spare(s) and s.member.segment in ready for s in missing)

    @staticmethod
    def _is_spare(state: WorkerState) -> bool:
        return state.waits and state.phase is Phase.STARTING and state.member.is_stateless

    def begin(self) -> list[Action]:
        """The run begins: those that are not there are given up, and wished for again."""
        spare = [s for s in self._run.workers.values() if self._is_spare(s)]
        for state in spare:
            state.is_additional = state.is_retiring = True
            state.killed_at_s = self._run.now_s
        actions: list[Action] = [Kill(s.member.id) for s in spare]
        for segment, count in Counter(s.member.segment for s in spare).items():
            one = next(s for s in spare if s.member.segment == segment)
            left = self._run.count(segment)
            actions += [SendCount(s.member.id, segment, left) for s in self._run.around(one)]
            self._scaling.asked(segment, left + count)
        return actions
