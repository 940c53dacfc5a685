"""The ends of workers' processes: when they are told to exit, and how long they have for that."""

from __future__ import annotations

from minipipe.protocol.run.actions import (
    Action,
    Kill,
    LogCutShort,
    LogSlowExit,
    SendExit,
)
from minipipe.protocol.run.events import Phase
from minipipe.protocol.run.run_state import RunState, WorkerState

STOP_S = 1.0  # a worker gets this long to heed a stop, if it has nothing to save
EXIT_S = 1.0  # and at least this long, after a stop, from being told to exit until it is gone
SLOW_EXIT_S = 10.0  # what a worker's end waits for at a normal end is said after this


class Exits:
    """Decides whom to tell to exit, and whom to kill."""

    def __init__(self, run: RunState) -> None:
        self._run = run

    @property
    def deadline_s(self) -> float | None:
        """When the next of these limits is reached."""
        if not self._has_limits:
            return self.gives_up_at_s
        times = [self._kill_at_s(s) for s in self._run.workers.values() if s.phase < Phase.GONE]
        times += [self._slow_at_s(s) for s in self._run.workers.values()]
        times.append(self.gives_up_at_s)
        return min((t for t in times if t is not None), default=None)

    @property
    def _has_limits(self) -> bool:
        """Whether anybody's time is limited: in a run that is well nobody's is, until its end.

        (At the start of a hundred workers most of what the supervisor does was to find that out.)
        """
        return self._run.stop_at_s is not None or any(
            s.exit_at_s is not None or s.killed_at_s is not None for s in self._run.workers.values()
        )

    @property
    def gives_up_at_s(self) -> float | None:
        """When a run whose supervisor fails itself ends, however far the stop has come.

        (What has failed may be what would have ended it: an order, or the word of a death.)
        """
        if self._run.broken is None or self._run.stop_at_s is None:
            return None
        saves = any(s.member.saves for s in self._run.workers.values())
        return self._run.stop_at_s + (self._run.grace_s if saves else STOP_S) + 3 * EXIT_S

    def exits(self, now_s: float) -> list[Action]:
        """Whom to tell to exit: all at once when all are done; each that is done if stopping.

        And each that was to leave in mid-run, when it has.
        """
        waiting = [s for s in self._run.workers.values() if s.phase is not Phase.GONE]
        all_done = all(s.phase is Phase.DONE for s in waiting)
        actions: list[Action] = []
        for state in waiting:
            if state.exit_at_s is not None:
                continue
            leaves = state.phase is Phase.DONE or state.failed
            if leaves and (all_done or self._run.stopping or state.is_retiring):
                state.exit_at_s = now_s
                actions.append(SendExit(state.member.id))
        return actions

    def overdue(self, now_s: float) -> list[Action]:
        """Kills those whose time is over; says whose normal end takes long."""
        actions: list[Action] = []
        if not self._has_limits:
            return actions
        for state in self._run.workers.values():
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
                state.slow_exit_logged = True
                actions.append(LogSlowExit(state.member.id))
        return actions

    def _kill_at_s(self, state: WorkerState) -> float | None:
        if state.member.is_caller or state.killed_hard:
            return None
        if state.killed_at_s is not None:
            # Harder only when nobody is left who might still be saving something.
            others = [s for s in self._run.workers.values() if s.phase is not Phase.GONE]
            if any(s.killed_at_s is None and not s.member.is_caller for s in others):
                return None
            return state.killed_at_s + EXIT_S
        if self._run.stop_at_s is None:
            return None  # a program has all the time that it needs for its end
        # One grace for all of a worker's end: `finally` in its functor, local_term, its process.
        grace_at_s = self._run.stop_at_s + self._run.grace_s
        if state.exit_at_s is not None:
            return max(grace_at_s, state.exit_at_s + EXIT_S)
        if state.phase >= Phase.DONE:
            return None
        # local_init has not run: nothing to save.
        if state.member.saves and state.phase is Phase.WIRED and not state.failed:
            return grace_at_s
        heeded_at_s = self._run.stop_at_s + STOP_S
        return max(grace_at_s, heeded_at_s) if state.is_leaving else heeded_at_s

    def _slow_at_s(self, state: WorkerState) -> float | None:
        """When it is to be said what the end of its process waits for."""
        if state.exit_at_s is None or state.slow_exit_logged or state.phase is Phase.GONE:
            return None
        return (
            None if self._run.stopping or state.member.is_caller else state.exit_at_s + SLOW_EXIT_S
        )
