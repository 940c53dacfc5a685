"""What a worker writes of items that it has skipped."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from minipipe.dead_letters.file import DeadLetterRecord, encode_record, keep, write
from minipipe.operators.work_item import WorkItem
from minipipe.protocol.delivery.paths import Leaf, outputs
from minipipe.stream import Node
from minipipe.stream.arrived import Arrived
from minipipe.worker.failure import Failure


class DeadLetterWriter:
    """Writes dead letters.

    Args:
        path: of the file; None: nothing is written.
        segment: the segment's name.
        worker: the worker's name.
        names: of the workers that number items.
        directory: of the run.
    """

    def __init__(
        self,
        node: Node,
        path: str | None,
        segment: str,
        worker: str,
        names: Mapping[int, str],
        directory: str,
    ) -> None:
        self._node = node
        self._path = path
        self._segment = segment
        self._worker = worker
        self._names = names
        self._directory = directory

    @property
    def wanted(self) -> bool:
        """Whether letters are to be written."""
        return self._path is not None

    def write(
        self,
        failure: Failure,
        item: Any,
        parcel: Arrived | None,
        parts: Sequence[WorkItem[Arrived]] = (),
    ) -> None:
        """Writes an item, with what the functor has raised.

        Args:
            parcel: what the item came in: there it is still as it was.
            parts: what it was joined of, each of them likewise.

        Raises:
            OSError: that could not be done.
        """
        assert self._path is not None and failure.number is not None
        original = self._node.parcel_decoder.original
        if parts:
            item = tuple(original(part.parcel, part.number) for part in parts)
        elif parcel is not None:
            item = original(parcel, failure.number)
        letter = self._letter(
            number=failure.number,
            origin=failure.origin,
            path=failure.path,
            error=failure.type_name,
            text=failure.text,
            trace=failure.trace,
        )
        write(self._path, letter, keep(item))

    def suspect(self, number: int, parcel: Arrived) -> None:
        """Writes an item that a worker has died of to where the supervisor finds it.

        Should another one die of it, nobody will have it any more who could.
        """
        if not self.wanted:
            return
        path = outputs(parcel.path)
        letter = self._letter(
            number=number,
            origin=parcel.origin,
            path=path,
            error="PoisonError",
            text="workers have died of it",
        )
        segment = self._node.wiring.segment
        place = suspect_path(self._directory, segment, (parcel.origin, number, path))
        new = f"{place}.{self._node.ident}"  # a second one may have got the item meanwhile
        with open(new, "wb") as file:
            file.write(
                encode_record(letter, keep(self._node.parcel_decoder.original(parcel, number)))
            )
        os.replace(new, place)

    def _letter(
        self,
        *,
        number: int,
        origin: int,
        path: tuple[int, ...],
        error: str,
        text: str,
        trace: str = "",
    ) -> DeadLetterRecord:
        return DeadLetterRecord(
            run=self._node.membership.run,
            time_s=time.time(),
            segment=self._segment,
            worker=self._worker,
            origin=self._names.get(origin, str(origin)),
            number=number,
            path=path,
            error=error,
            text=text,
            trace=trace,
        )


def suspect_path(directory: str, segment: int, item: Leaf) -> str:
    """Where in the run's directory a suspect item is kept."""
    origin, number, path = item
    # A name has 255 bytes: what went by many forks is told apart by a hash of them.
    by = "" if not path else f"-{blake2b(repr(path).encode(), digest_size=12).hexdigest()}"
    return os.path.join(directory, f"suspect-{segment}-{origin}-{number}{by}")
