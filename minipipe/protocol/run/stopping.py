"""A stop: a run that is cut short, by a failure, by the user, or by the supervisor's own errors."""

from __future__ import annotations

from minipipe.protocol.run.actions import (
    Action,
    Kill,
    LogLaterFailure,
    SendStop,
)
from minipipe.protocol.run.events import Outcome, Phase
from minipipe.protocol.run.run_state import RunState

MAX_TOLD = 5  # so many errors of the supervisor's own are told one by one


class Stopping:
    """Decides what a run ends with, and tells its workers."""

    def __init__(self, run: RunState) -> None:
        self._run = run
        self._broke = 0

    def failed(self, worker: int, cause: BaseException, *, at_the_end: bool) -> list[Action]:
        """A worker's functor has raised.

        Args:
            at_the_end: something was not saved.
        """
        self._run.workers[worker].failed = True
        if self._run.stopping:
            return self.failed_late(cause, counts=at_the_end)
        return self.stop(Outcome.FAILED, cause, self._run.now_s)

    def stop(self, outcome: Outcome, cause: BaseException | None, now_s: float) -> list[Action]:
        """The run is cut short, for this reason; what was decided first stands."""
        if self._run.stopping:
            return []
        if self._run.all_done:
            self._run.stop_at_s = now_s  # from here on their ends have no more than their grace
            return []
        for state in self._run.workers.values():
            if state.unasked:  # nothing is known of it anywhere
                state.unasked, state.phase = False, Phase.GONE
        if outcome is Outcome.FAILED or self._run.outcome is None:
            self._run.outcome, self._run.cause = outcome, cause
        self._run.stop_at_s = now_s
        waiting = [s for s in self._run.workers.values() if s.waits and s.killed_at_s is None]
        for state in waiting:  # for a machine: there is nobody who could heed a stop
            state.killed_at_s = now_s
        there = [s for s in self._run.workers.values() if Phase.BOUND <= s.phase < Phase.DONE]
        return [
            *(SendStop(s.member.id, self._run.outcome) for s in there if not s.failed),
            *(Kill(s.member.id) for s in waiting),
        ]

    def launch_failed(self, worker: int, cause: BaseException, now_s: float) -> list[Action]:
        """A process cannot even be asked for: nothing has begun that would be worth a grace."""
        self._run.launching = False
        actions = self.stop(Outcome.FAILED, cause, now_s)
        self._run.workers[worker].phase = Phase.GONE  # not before: that would be a way to be done
        return [*actions, *self.kill_all(now_s)]

    def failed_late(self, cause: BaseException, *, counts: bool) -> list[Action]:
        """What becomes of a failure after the run was stopped.

        Args:
            counts: something was to be saved and was not.  (A functor that raises when it is
                stopped does so because of that.)
        """
        if self._run.cause is not None or not counts:
            return [LogLaterFailure(cause)]
        self._run.cause = cause
        if self._run.outcome is not Outcome.INTERRUPTED:
            self._run.outcome = Outcome.FAILED
        return []

    def break_off(self, cause: BaseException, now_s: float) -> list[Action]:
        """An error of the supervisor's own ends the run as any other failure does.

        Those that come while it is being stopped are told, but not without end: telling may be
        what fails.
        """
        self._run.broken = cause
        self._broke += 1
        if not self._run.stopping and self._run.all_done:  # they are on their way out already
            self._run.stop_at_s = now_s
        if self._run.stopping:
            return self.failed_late(cause, counts=True) if self._broke <= MAX_TOLD else []
        return self.stop(Outcome.FAILED, cause, now_s)

    def kill_all(self, now_s: float) -> list[Action]:
        """Nobody is waited for any more."""
        actions: list[Action] = []
        for state in self._run.workers.values():
            if state.phase is Phase.GONE or state.killed_at_s is not None:
                continue
            state.killed_at_s = now_s
            actions.append(Kill(state.member.id))
        return actions
