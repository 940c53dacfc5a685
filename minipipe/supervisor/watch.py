"""Watches the status pages: for functors that take too long, for a run that stands still."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable

from minipipe.pure import hanging
from minipipe.pure.hanging import Stall, Timeouts
from minipipe.supervisor.crew import Crew
from minipipe.supervisor.hand import Hand

logger = logging.getLogger("minipipe")

LOOK_S = 1.0  # how often progress is looked for
STACK_S = 0.25  # a worker that hangs gets this long to write down its stack


class Watch:
    """Kills workers that hang, and says when nothing moves.

    Args:
        kill: kills a worker.
    """

    def __init__(self, crew: Crew, kill: Callable[[int], None]) -> None:
        self._crew = crew
        self._kill = kill
        limits = {h.ident: t for h in crew.hands.values() if (t := _limit_of(h)) is not None}
        self._timeouts = Timeouts(limits)
        self._stall = Stall(hanging.FIRST_STALL_S)
        self._doomed: dict[int, float] = {}  # when each is to be killed
        self._next_s = 0.0

    def due_in_s(self, now_s: float) -> float:
        """Seconds until there is something to look for."""
        return max(0.0, min([self._next_s, *self._doomed.values()]) - now_s)

    def replaced(self, dead: int, instead: int) -> None:
        """A worker has another one's place now."""
        self._timeouts.forget(dead)
        self._doomed.pop(dead, None)
        limit_s = _limit_of(self._crew.hands[instead])
        if limit_s is not None:
            self._timeouts.watch(instead, limit_s)

    def look(self, now_s: float) -> None:
        """Looks, if it is time."""
        for worker, at_s in list(self._doomed.items()):
            if now_s >= at_s:
                del self._doomed[worker]
                self._crew.hands[worker].keep_stack()
                self._kill(worker)
        if now_s < self._next_s:
            return
        self._next_s = now_s + (self._timeouts.every_s or LOOK_S)
        at: dict[int, Hashable] = {}
        signs: list[Hashable] = []
        for hand in self._crew.hands.values():
            words = hand.look()
            if words is None:
                continue
            signs.append(words)
            call = hand.call()
            if call is not None:
                at[hand.ident] = call
        for worker, seconds in self._timeouts.look(now_s, at):
            self._timeouts.forget(worker)
            limit_s = _limit_of(self._crew.hands[worker])
            hung = f"took {seconds:.3g} s for one item (timeout_s={limit_s:g})"
            self._crew.hands[worker].hung = hung
            self._crew.ask_for_stack(worker)
            self._doomed[worker] = now_s + STACK_S
        stalled_s = self._stall.look(now_s, tuple(signs))
        if stalled_s is not None:
            logger.warning("%s", self._standing_still(stalled_s))

    def _standing_still(self, stalled_s: float) -> str:
        """Who is in which functor, for how long at least; or who is stopped."""
        since = time.strftime("%H:%M:%S", time.localtime(time.time() - stalled_s))
        parts = []
        for hand in self._crew.hands.values():
            if hand.final is not None:
                continue
            if hand.is_stopped():
                parts.append(f"{hand.name!r} (pid {hand.pid}) is stopped (SIGSTOP)")
            elif hand.call() is not None:
                item = self._crew.item_in(hand)
                what = "your loop" if hand.member.is_caller else "its functor"
                parts.append(f"{hand.name!r} (pid {hand.pid}) is in {what} at {item}")
        where = "; ".join(parts) or "no worker is in its functor"
        return f"no progress for {stalled_s:.0f} s, since {since}: {where}"


def _limit_of(hand: Hand) -> float | None:
    declared = hand.segment.declared
    return None if declared is None else declared.timeout_s
