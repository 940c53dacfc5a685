"""What workers on other hosts have kept of items, written to the files that are here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from minipipe.dead_letters.file import DeadLetterRecord, encode_record, write
from minipipe.errors import WireFormatError
from minipipe.process.describe import in_a_line
from minipipe.stream import records
from minipipe.supervisor.item_names import item_of
from minipipe.supervisor.processes import WorkerProcesses
from minipipe.supervisor.suspect_files import SuspectFiles
from minipipe.supervisor.worker_handle import WorkerHandle
from minipipe.transport import Trust
from minipipe.worker import letters_elsewhere
from minipipe.worker.letters_elsewhere import Content

logger = logging.getLogger("minipipe")


class LettersElsewhere:
    """Writes them as a worker here would, and then says so to the worker, which waits for that.

    Which file it is follows from the worker's segment, and what it is called from the identity of
    the item.

    Args:
        run: its id.
        kept: says to a worker that one more is written.
    """

    def __init__(
        self,
        run: int,
        processes: WorkerProcesses,
        suspect_files: SuspectFiles,
        kept: Callable[[int], None],
    ) -> None:
        self._run = run
        self._processes = processes
        self._suspect_files = suspect_files
        self._kept = kept

    def letter(self, handle: WorkerHandle, said: records.Letter, trust: Trust) -> OSError | None:
        """Writes a dead letter; what the run is to end with, if that could not be done.

        Raises:
            WireFormatError: it is none, or its segment keeps none.
        """
        path = _dead_letters(handle)
        content = letters_elsewhere.read(said.content, trust)
        letter = self._letter(handle, said, content, trust)
        try:
            write(path, letter, content.kept)
        except OSError as error:  # a full disk
            which = item_of(self._processes.handles, said.origin, said.number, said.path)
            if not said.ends_run:
                error.add_note(
                    f"minipipe: in the supervisor, while writing the dead letter of {which}, which "
                    f"failed ({content.error}) in worker {handle.name!r} on host {handle.host!r}"
                )
                return error
            logger.warning("%s: no dead letter of %s: %s", handle.name, which, in_a_line(error))
        self._kept(handle.ident)
        return None

    def suspect(self, handle: WorkerHandle, said: records.Suspect, trust: Trust) -> OSError | None:
        """Keeps an item that a worker has died of; raises, and returns, as `letter`."""
        _dead_letters(handle)
        content = letters_elsewhere.read(said.content, trust)
        record = encode_record(self._letter(handle, said, content, trust), content.kept)
        leaf = (said.origin, said.number, tuple(said.path))
        try:
            self._suspect_files.keep(leaf, handle.segment.index, handle.ident, record)
        except OSError as error:  # a full disk
            which = item_of(self._processes.handles, *leaf)
            error.add_note(
                f"minipipe: in the supervisor, while keeping {which}, which a worker has died of, "
                f"for worker {handle.name!r} on host {handle.host!r}"
            )
            return error
        self._kept(handle.ident)
        return None

    def _letter(
        self,
        handle: WorkerHandle,
        said: records.Letter | records.Suspect,
        content: Content,
        trust: Trust,
    ) -> DeadLetterRecord:
        return DeadLetterRecord(
            run=self._run,
            time_s=time.time(),
            segment=handle.segment.name,
            worker=handle.name,
            origin=self._name_of(said.origin),
            number=said.number,
            path=tuple(said.path),
            error=content.error,
            text=content.text,
            trace=content.trace,
            left_out=content.left_out,
            is_plain=not trust.code,
        )

    def _name_of(self, origin: int) -> str:
        """Of a worker that numbers items: it is never replaced."""
        handle = self._processes.handles.get(origin)
        return handle.name if handle is not None and handle.member.sends_to else str(origin)


def _dead_letters(handle: WorkerHandle) -> str:
    declared = handle.segment.declared
    path = None if declared is None else declared.dead_letter
    if path is None:
        raise WireFormatError(f"segment {handle.segment.name!r} keeps no dead letters")
    return path
