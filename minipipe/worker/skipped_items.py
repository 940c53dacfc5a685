"""What a worker writes of items that it has skipped, or has the supervisor write."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from minipipe.codec import SlotGoneError
from minipipe.dead_letters.file import DeadLetterRecord, encode_record, keep, write
from minipipe.operators.work_item import WorkItem
from minipipe.protocol.delivery.paths import Leaf, outputs
from minipipe.stream import Node, records
from minipipe.stream.arrived import Arrived
from minipipe.worker import letters_elsewhere
from minipipe.worker.failure import Failure
from minipipe.worker.letters_elsewhere import Content

POISON = ("PoisonError", "workers have died of it")  # what stands in the letter of such an item


class DeadLetterWriter:
    """Writes dead letters.

    Args:
        path: of the file; None: nothing is written.
        segment: the segment's name.
        worker: the worker's name.
        names: of the workers that number items.
        directory: of the run.
        is_here: that, and the file, are on this machine.
    """

    def __init__(
        self,
        node: Node,
        path: str | None,
        segment: str,
        worker: str,
        names: Mapping[int, str],
        directory: str,
        *,
        is_here: bool = True,
    ) -> None:
        self._node = node
        self._path = path
        self._segment = segment
        self._worker = worker
        self._names = names
        self._directory = directory
        self._is_here = is_here
        self._sent = 0  # letters, and suspects, that the supervisor is to write

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
        *,
        ends_run: bool = False,
    ) -> None:
        """Writes an item, with what the functor has raised.

        Args:
            item: as the functor has left it.
            parcel: what it came in: there it is still as it was.
            parts: what it was joined of, each of them likewise.
            ends_run: the run ends with it.

        Raises:
            OSError: that could not be done.
        """
        assert self._path is not None and failure.number is not None
        original = self._node.parcel_decoder.original
        try:
            if parts:
                item = tuple(original(part.parcel, part.number) for part in parts)
            elif parcel is not None:
                item = original(parcel, failure.number)
        except SlotGoneError:
            # A join lets go of what it has read, and what came from another host is kept by nobody
            # else: then it is written as the functor has left it.
            pass
        if not self._is_here:
            leaf = (failure.origin, failure.number, failure.path)
            content = self._content(failure.type_name, failure.text, failure.trace, item)
            self._have_written(records.Letter(*leaf, ends_run, content))
            return
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
        path, (error, text) = outputs(parcel.path), POISON
        item = self._node.parcel_decoder.original(parcel, number)
        if not self._is_here:
            content = self._content(error, text, "", item)
            self._have_written(records.Suspect(parcel.origin, number, path, content))
            return
        letter = self._letter(
            number=number, origin=parcel.origin, path=path, error=error, text=text
        )
        place = suspect_path(
            self._directory, self._node.wiring.segment, (parcel.origin, number, path)
        )
        write_suspect(place, encode_record(letter, keep(item)), self._node.ident)

    def _content(self, error: str, text: str, trace: str, item: Any) -> bytes:
        left_out, kept = letters_elsewhere.kept_for(item, self._node.inbox.trust)
        return letters_elsewhere.write(Content(error, text, trace, left_out, kept))

    def _have_written(self, record: records.Letter | records.Suspect) -> None:
        """Waits until the supervisor has written it: what follows must not come before that.

        (This process may die at once, with what its socket has not sent yet; and who sent the item
        would have heard that it is done.)
        """
        node = self._node
        self._sent += 1
        node.report(record)
        orders = node.orders
        node.block(
            lambda: orders.letters >= self._sent or orders.stopped is not None, to_the_end=True
        )
        node.handover.served_here()

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


def write_suspect(place: str, record: bytes, worker: int) -> None:
    """Keeps a suspect item in its place; a second worker may have got the item meanwhile."""
    new = f"{place}.{worker}"
    with open(new, "wb") as file:
        file.write(record)
    os.replace(new, place)


def suspect_path(directory: str, segment: int, item: Leaf) -> str:
    """Where in the run's directory a suspect item is kept."""
    origin, number, path = item
    # A name has 255 bytes: what went by many forks is told apart by a hash of them.
    by = "" if not path else f"-{blake2b(repr(path).encode(), digest_size=12).hexdigest()}"
    return os.path.join(directory, f"suspect-{segment}-{origin}-{number}{by}")
