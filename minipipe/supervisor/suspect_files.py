"""The files of crash suspects: what a worker has written of the item that may have killed it."""

from __future__ import annotations

from pathlib import Path

from minipipe.dead_letters.file import add_record
from minipipe.graph import Graph
from minipipe.protocol.delivery.paths import Leaf
from minipipe.supervisor.rundir import RunDirectory
from minipipe.worker.skipped_items import suspect_path, write_suspect


class SuspectFiles:
    """Moves them to the dead letters of their segment, or removes them.

    Attributes:
        directory: where workers leave them; None until there is one.
    """

    def __init__(self, graph: Graph) -> None:
        self.directory: RunDirectory | None = None
        self._graph = graph

    def keep(self, item: Leaf, segment: int, worker: int, record: bytes) -> None:
        """Writes what a worker elsewhere has of an item; workers here do so themselves.

        Raises:
            OSError: that could not be done.
        """
        assert self.directory is not None
        write_suspect(suspect_path(self.directory.path, segment, item), record, worker)

    def set_aside(self, item: Leaf, segment: int) -> None:
        """Two workers have died of it: it is a dead letter."""
        letters = self._dead_letters(segment)
        if letters is not None and self.directory is not None:
            record = Path(suspect_path(self.directory.path, segment, item))
            add_record(letters, record.read_bytes())
            record.unlink()

    def acquit(self, item: Leaf, segment: int) -> None:
        """An item that one worker has died of is done: what was written of it is not needed."""
        if self._dead_letters(segment) is not None and self.directory is not None:
            # There is nothing if it was done before anybody had heard of that death.
            record = suspect_path(self.directory.path, segment, item)
            Path(record).unlink(missing_ok=True)

    def _dead_letters(self, segment: int) -> str | None:
        declared = self._graph.segments[segment].declared
        return None if declared is None else declared.dead_letter
