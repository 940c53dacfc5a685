"""What the supervisor says in the log about workers that died, and items that they died of."""

from __future__ import annotations

import logging
from pathlib import Path

from minipipe.dead_letters import add_record
from minipipe.graph import Graph
from minipipe.protocol.delivery.paths import Leaf
from minipipe.protocol.run.lifecycle import SLOW_EXIT_S
from minipipe.protocol.run.vital_signs import EndStage
from minipipe.supervisor.item_names import item_of
from minipipe.supervisor.processes import WorkerProcesses
from minipipe.supervisor.rundir import RunDirectory
from minipipe.worker.skipped_items import suspect_path

logger = logging.getLogger("minipipe")


class RunLog:
    """Says it, in whole sentences.

    Attributes:
        directory: where workers leave what they write of items that kill them; None until there is
            one.
    """

    def __init__(self, graph: Graph, processes: WorkerProcesses, grace_s: float) -> None:
        self.directory: RunDirectory | None = None
        self._graph = graph
        self._processes = processes
        self._grace_s = grace_s

    def cut(self, worker: int) -> None:
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
            "%s of segment %r (worker %s, pid %d) was cut off, as it took longer than "
            "grace_s=%g allows%s",
            *(what, handle.segment.name, handle.name, handle.pid, self._grace_s, more),
        )

    def slow_exit(self, worker: int) -> None:
        """It has done its work, and its process goes on."""
        handle = self._processes.handles[worker]
        logger.warning(
            "segment %r (worker %s, pid %d) has done its work, but its process has not ended for "
            "%g s: it waits for %s",
            *(
                handle.segment.name,
                handle.name,
                handle.pid,
                SLOW_EXIT_S,
                handle.vitals.end_waits_for(),
            ),
        )

    def set_aside(self, item: Leaf, segment: int) -> None:
        """Names a poisonous item, and moves what a worker has written of it to its file."""
        where = self._graph.segments[segment]
        name = item_of(self._processes.handles, *item)
        kept = ""
        path = None if where.declared is None else where.declared.dead_letter
        if path is not None and self.directory is not None:
            record = Path(suspect_path(self.directory.path, segment, item))
            add_record(path, record.read_bytes())
            record.unlink()
            kept = f", and is kept in {path!r}"
        if where.declared is not None and where.declared.poison == "skip":
            text = "%s has killed two workers of segment %r: it is set aside%s"
            logger.warning(text, name, where.name, kept)

    def acquit(self, item: Leaf, segment: int) -> None:
        """An item that one worker has died of is done: what was written of it is not needed."""
        where = self._graph.segments[segment].declared
        if where is not None and where.dead_letter is not None and self.directory is not None:
            # There is nothing if it was done before anybody had heard of that death.
            record = suspect_path(self.directory.path, segment, item)
            Path(record).unlink(missing_ok=True)

    def death(self, worker: int, items: int) -> None:
        """It has died and was replaced; so many items are done again."""
        death = self._processes.handles[worker].death
        again = "1 item is" if items == 1 else f"{items} items are"
        if death is not None:
            logger.warning(
                "%s; it was replaced, and %s done again%s",
                *(death.description, again, death.stack_shown),
            )
