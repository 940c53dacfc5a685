"""The agents of a run that Ray has started, as who has started them sees them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import ray
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup, remove_placement_group

from minipipe.pipeline.execution import RunTimeoutError
from minipipe.process.describe import in_a_line
from minipipe.ray.actor import STOP_S, Result
from minipipe.ray.errors import AgentsError

logger = logging.getLogger("minipipe")

LOOK_S = 1.0


class Agents:
    """Agents on nodes of Ray; made by `minipipe.ray.agents`.

    When the last one has ended, with the run say, Ray gets its room back.

        with minipipe.ray.agents(pline, n=4, num_cpus=8) as agents:
            pline.close()

    Args:
        actors: one for each.
        group: the placement group that they are in.
    """

    def __init__(self, actors: Sequence[Any], group: PlacementGroup) -> None:
        self._actors, self._group = list(actors), group
        self._failures: list[str] = []
        self._is_stopping, self._ended = threading.Event(), threading.Event()
        self._running = {actor.wait.remote(): number for number, actor in enumerate(actors)}
        self._count = len(self._actors)
        self._thread = threading.Thread(target=self._watch, name="minipipe-ray", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """How many were started."""
        return self._count

    @property
    def running(self) -> int:
        """How many of them have not ended."""
        return len(self._running)

    def wait(self, timeout_s: float | None = None) -> Self:
        """Waits until all of them have ended: with their run.

        Raises:
            AgentsError: some have ended before; the run may have gone on without them.
            RunTimeoutError: they have not ended within `timeout_s`; they go on.
        """
        if not self._ended.wait(timeout_s):
            raise RunTimeoutError(
                f"{self.running} of {len(self)} agents go on after {timeout_s:g} s"
            )
        if self._failures:
            raise AgentsError(tuple(self._failures))
        return self

    def stop(self) -> None:
        """They leave the run, and end; Ray gets its room back.  What they had is done by others."""
        self._is_stopping.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<minipipe.ray.Agents: {self.running} of {len(self)} running>"

    # ------------------------------------------------------- its thread
    def _watch(self) -> None:
        """Until all have ended, or are to be stopped; then nothing is left of them in Ray."""
        try:
            while self._running and not self._is_stopping.is_set() and ray.is_initialized():
                done, _ = ray.wait(list(self._running), timeout=LOOK_S)
                for one in done:
                    self._note(one)
            if ray.is_initialized():  # else Ray has ended them
                self._clear()
        finally:
            self._running.clear()
            self._ended.set()

    def _note(self, one: Any) -> None:
        number = self._running.pop(one)
        try:
            result = Result(*ray.get(one))
        except RayError as error:
            why = f"agent {number}: {in_a_line(error)}"
        else:
            if result.code == 0:
                return
            how = f"signal {-result.code}" if result.code < 0 else f"status {result.code}"
            why = f"agent {number} has ended by {how}: {result.said or 'it has said nothing'}"
        self._failures.append(why)
        logger.error("%s", why)

    def _clear(self) -> None:
        asked = [actor.stop.remote() for actor in self._actors] if self._running else []
        if asked:
            # Of those that Ray starts anew just now, too.
            ray.wait(asked, num_returns=len(asked), timeout=STOP_S + LOOK_S)
        for actor in self._actors:
            ray.kill(actor)
        remove_placement_group(self._group)
        self._actors.clear()
