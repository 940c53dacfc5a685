"""What the log says of a run's deaths and ends, and of the items that workers have died of."""

from __future__ import annotations

import logging

from minipipe.graph import Graph
from minipipe.process.describe import in_a_line
from minipipe.protocol.delivery.paths import Leaf
from minipipe.protocol.run import lifecycle as life
from minipipe.protocol.run.vital_signs import EndStage
from minipipe.supervisor.item_names import item_of
from minipipe.supervisor.processes import WorkerProcesses

logger = logging.getLogger("minipipe")

# Of a Sink that is called like a function, and is an object.
_FORGOTTEN = (
    "; what its functor, an object, had kept in itself is lost (a `local_term`, or restart=False, "
    "makes that the end of the run; restart=True says that there is nothing)"
)


class RunLog:
    """Writes it in whole sentences (an `Observer`)."""

    def __init__(self, graph: Graph, processes: WorkerProcesses, grace_s: float) -> None:
        self._graph = graph
        self._processes = processes
        self._grace_s = grace_s

    def event(self, event: life.Event, now_s: float) -> None:
        pass  # what is decided about it is written

    def action(self, action: life.Action, now_s: float) -> None:
        match action:
            case life.LogDeath():
                self._death(action)
            case life.LogLaterFailure(cause):
                logger.warning("then, %s", in_a_line(cause))
            case life.LogCutShort(worker):
                self._cut_short(worker)
            case life.LogSlowExit(worker):
                self._slow_exit(worker)
            case life.SetAside(item, segment):
                self._set_aside(item, segment)

    def due_in_s(self, now_s: float) -> float | None:
        return None

    def _cut_short(self, worker: int) -> None:
        """What it did last took longer than a stop waits."""
        handle = self._processes.handles[worker]
        stage, more = handle.vitals.end(), ""
        what = "the functor"
        if stage is EndStage.LEAVING:
            what = "what the functor does when it is left (`finally`, `except`)"
        elif stage is EndStage.SAVING:
            what = "local_term"
        elif stage is EndStage.ENDING:
            what, more = "the process", f"; it waited for {handle.vitals.end_waits_for()}"
        elif handle.member.saves:
            more = "; so its local_term was not called"
        logger.warning(
            "%s of segment %r (%s) was cut off, as it took longer than grace_s=%g allows%s",
            *(what, handle.segment.name, handle.in_words, self._grace_s, more),
        )

    def _slow_exit(self, worker: int) -> None:
        """It has done its work, and its process goes on."""
        handle = self._processes.handles[worker]
        logger.warning(
            "segment %r (%s) has done its work, but its process has not ended for "
            "%g s: it waits for %s",
            *(
                handle.segment.name,
                handle.in_words,
                life.SLOW_EXIT_S,
                handle.vitals.end_waits_for(),
            ),
        )

    def _set_aside(self, item: Leaf, segment: int) -> None:
        """Two workers have died of it."""
        where = self._graph.segments[segment]
        if where.declared is None or where.declared.poison != "skip":
            return  # the run ends with that
        path = where.declared.dead_letter
        logger.warning(
            "%s has killed two workers of segment %r: it is set aside%s",
            item_of(self._processes.handles, *item),
            where.name,
            "" if path is None else f", and is kept in {path!r}",
        )

    def _death(self, said: life.LogDeath) -> None:
        """It has died and was replaced, or was to leave; some items are done again."""
        death = self._processes.handles[said.worker].death
        again = "1 item is" if said.items == 1 else f"{said.items} items are"
        became = "was to leave"
        if said.is_replaced:
            became = (
                "is replaced when a machine has room for that" if said.waits else "was replaced"
            )
        lost = _FORGOTTEN if self._processes.handles[said.worker].segment.may_forget else ""
        if death is not None:
            logger.warning(
                "%s; it %s, and %s done again%s%s",
                *(death.description, became, again, lost, death.stack_shown),
            )
