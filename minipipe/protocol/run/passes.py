"""Passes over the data: when the next one begins, and how one is left early.

Rules 27 and 28 of the delivery protocol (ARCHITECTURE.md).  A run has one pass, unless its pipeline
is persistent: then each is asked for, and the run ends when no more are to come.
"""

from __future__ import annotations

from minipipe.protocol.run.actions import (
    Action,
    PassEnded,
    SendAbandon,
    SendLeave,
    SendStart,
)
from minipipe.protocol.run.events import CloseAsked, PassAsked, PassDone, PassLeft, Phase
from minipipe.protocol.run.run_state import RunState, WorkerState


class Passes:
    """Decides when passes begin and end."""

    def __init__(self, run: RunState) -> None:
        self._run = run

    def handle(self, event: PassDone | PassAsked | PassLeft | CloseAsked) -> list[Action]:
        """What to do now."""
        match event:
            case PassDone(worker, pass_):
                return self.done(worker, pass_)
            case PassAsked():
                return self.asked()
            case PassLeft(pass_):
                return self.left(pass_)
            case CloseAsked():
                return self.no_more()

    def asked(self) -> list[Action]:
        """One more pass is wished for: it begins when the one before has ended."""
        self._run.passes_asked += 1
        return self.go_on()

    def no_more(self) -> list[Action]:
        """The run is to end with the pass that is on, or at once if none is."""
        self._run.closing = True
        return self.go_on()

    def done(self, worker: int, pass_: int) -> list[Action]:
        """A worker that keeps state has come to the end of this pass."""
        self._run.workers[worker].passes_done = pass_ + 1
        return self.look()

    def look(self) -> list[Action]:
        """Ends the pass if nobody is at it any more: somebody was done, or has died."""
        run = self._run
        if not run.is_persistent or not run.pass_is_on or run.stopping:
            return []
        if any(self._is_needed(s) and s.passes_done <= run.pass_ for s in run.present):
            return []
        return self._ended(left=False)

    @staticmethod
    def _is_needed(state: WorkerState) -> bool:
        """Whether the end of a pass waits for this worker: those in between hear of no pass."""
        return not state.member.is_stateless

    def left(self, pass_: int) -> list[Action]:
        """Nobody wants the rest of this pass.

        The epoch rises in every region, and all of it is one message to each worker: with it they
        are in the next pass, and keep nothing of this one.
        """
        run = self._run
        if run.stopping or pass_ != run.pass_ or pass_ >= run.passes_asked:
            return []  # it is over already
        present = run.present
        regions = sorted(frozenset[int]().union(*(s.member.regions for s in run.workers.values())))
        receivers = {
            region: tuple(s.member.id for s in present if region in s.member.receives_from)
            for region in regions
        }
        epochs = {region: run.restarts.begin_epoch(region) for region in regions}
        dead = tuple(run.restarts.dead)
        actions: list[Action] = [
            SendAbandon(
                worker=s.member.id,
                pass_=pass_ + 1,
                regions=tuple((r, epochs[r], receivers[r]) for r in sorted(s.member.regions)),
                dead=dead,
                crash_suspects=run.restarts.crash_suspects([s.member.segment]),
            )
            for s in present
        ]
        return actions + self._ended(left=True)

    def _ended(self, *, left: bool) -> list[Action]:
        run = self._run
        ended, run.pass_ = run.pass_, run.pass_ + 1
        for state in run.workers.values():
            state.drained = state.takes_no_more = False
        return [PassEnded(ended, left), *self.go_on()]

    def go_on(self) -> list[Action]:
        """What follows when no pass is on: the next one, or the end of the run."""
        run = self._run
        if not run.started or run.stopping:
            return []
        if run.pass_is_on:
            return start(run)
        if not run.closing:
            return []
        leaving = [s for s in run.present if self._is_needed(s) and not s.close_sent]
        for state in leaving:
            state.close_sent = True
        return [SendLeave(s.member.id) for s in leaving if s.phase < Phase.DONE]


def start(run: RunState) -> list[Action]:
    """Tells those to begin the pass that is on who have not been told yet.

    The first time all workers are told, then Sources only: all others see what comes.
    """
    told: list[Action] = []
    for state in run.present:
        is_new = state.passes_begun == 0 or state.member.is_source
        if is_new and state.passes_begun <= run.pass_:
            state.passes_begun = run.pass_ + 1
            told.append(SendStart(state.member.id, run.pass_))
    return told
