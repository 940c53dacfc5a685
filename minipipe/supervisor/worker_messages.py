"""What the supervisor hears, from workers and of processes, as events of the run's life."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from minipipe.errors import StartError, WireFormatError
from minipipe.errors.deaths import worker_in_words
from minipipe.graph import Graph, GraphSegment
from minipipe.protocol.run import lifecycle as life
from minipipe.stream import records, wire
from minipipe.supervisor.deaths import Deaths
from minipipe.supervisor.failures import Failures
from minipipe.supervisor.hosts.base import (
    Exited,
    HostLeaves,
    Last,
    Refused,
    Report,
    Started,
    Traced,
    Waits,
    ZygoteLost,
)
from minipipe.supervisor.item_names import item_of
from minipipe.supervisor.letters_elsewhere import LettersElsewhere
from minipipe.supervisor.moving import moves_of
from minipipe.supervisor.processes import WorkerProcesses
from minipipe.supervisor.worker_handle import WorkerHandle
from minipipe.transport import Trust
from minipipe.worker import failure_forms, returned
from minipipe.worker.failure import LAST_WORDS, Failure

logger = logging.getLogger("minipipe")

_IMPORT_IT = "; of its classes, import the modules in your program, too"


class WorkerMessages:
    """Takes apart what comes in.

    Args:
        run: its id; what does not belong to it is dropped.
        graph: what runs.
        processes: of all workers.
        connect: opens the link to a worker that is bound now.
        letters: writes what workers elsewhere have kept of items.
    """

    def __init__(
        self,
        run: int,
        graph: Graph,
        processes: WorkerProcesses,
        connect: Callable[[int], None],
        letters: LettersElsewhere,
    ) -> None:
        self._run = run
        self._processes = processes
        self._deaths = Deaths(processes)
        self._connect = connect
        self._letters = letters
        self._logged_once: set[str] = set()
        self._failures = Failures(graph, processes.items_in, self._where)

    def of_message(self, message: wire.Message) -> Iterator[life.Event]:
        """What a worker has said.

        Raises:
            RecordError: it is nothing for the supervisor, or malformed.
        """
        handle = self._processes.handles.get(message.sender)
        if message.run != self._run or handle is None:
            return
        for record in message.records():
            try:
                yield from self._of_record(handle, record, message.inbox.trust)
            except WireFormatError as error:
                raise message.refused(records.name_of(record), error.what) from error

    def _of_record(
        self, handle: WorkerHandle, record: NamedTuple, trust: Trust
    ) -> Iterator[life.Event]:
        match record:
            case records.Bound(address):
                self._connect(handle.ident)
                yield life.Bound(handle.ident, address, handle.host)
            case records.Unloadable(report):
                failure = failure_forms.read(report)
                where = self._where(handle, failure)
                yield life.Unloadable(handle.ident, failure.exception(where))
            case records.Wired():
                yield life.Wired(handle.ident)
            case records.Done(result):
                yield from self._done(handle, result)
            case records.PassDone(pass_):
                yield life.PassDone(handle.ident, pass_)
            case records.Skipped():
                yield from _end_with(self._failures.skipped(handle, record))
            case records.Letter():
                yield from _end_with(self._letters.letter(handle, record, trust))
            case records.Suspect():
                yield from _end_with(self._letters.suspect(handle, record, trust))
            case records.Spans():
                if self._processes.tracing is not None:
                    self._processes.tracing.take(handle, record)
            case records.Failed(report):
                yield self._failed(handle, failure_forms.read(report))
            case records.Log():
                self._log(record)
            case records.Rest(ended, sent, arrived):
                yield life.Rested(handle.ident, ended, sent, arrived)
            case records.Ended():
                yield life.SegmentEnded(handle.ident)
            case records.Resent():
                yield life.Resent(handle.ident, *record)
            case _:
                raise WireFormatError("it is not for the supervisor")

    def _log(self, line: records.Log) -> None:
        if line.text not in self._logged_once:
            logger.log(line.level, "%s", line.text)
            if line.once:
                self._logged_once.add(line.text)

    def _trace(self, report: Traced) -> None:
        tracing, handle = self._processes.tracing, self._processes.handles.get(report.worker)
        if tracing is not None and handle is not None:
            try:
                tracing.take(handle, report.spans)
            except WireFormatError as error:  # its agent has said that, who may say anything
                logger.warning("what %s has done is not known: %s", handle.name, error)

    def of_process(self, report: Report) -> Iterator[life.Event]:
        """What has happened to a process."""
        handles = self._processes.handles
        if isinstance(report, Started):
            handles[report.worker].pid = report.pid
            handles[report.worker].is_asked_for = True
            yield life.ProcessStarted(report.worker)
        elif isinstance(report, Waits):
            if report.worker in handles:  # how long its start takes is no concern meanwhile
                handles[report.worker].is_asked_for = report.is_over
            yield life.Waits(report.worker, report.is_over)
        elif isinstance(report, Exited):
            handle = handles[report.worker]
            yield self._died(handle, report.status, report.last)
        elif isinstance(report, Refused):
            refused = _refused(handles[report.worker], report)
            yield life.Failed(report.worker, refused)
            yield life.Died(report.worker, refused)
        elif isinstance(report, ZygoteLost):
            yield from self._lost(report)
        elif isinstance(report, Traced):
            self._trace(report)
        elif isinstance(report, HostLeaves):
            yield from moves_of(report, self._processes)

    def of_pages(self) -> Iterator[life.Event]:
        """Whom a stop has reached, as far as it was not heard before."""
        for handle in self._processes.handles.values():
            if not handle.heeded and handle.vitals.end():
                handle.heeded = True
                yield life.Leaving(handle.ident)

    def _lost(self, report: ZygoteLost) -> Iterator[life.Event]:
        """One death, of all workers of a zygote: none of their items is to blame for it."""
        segments: set[int] = set()
        how = f"was lost with its host ({report.why})" if report.host else ""
        for worker, last in report.workers.items():
            handle = self._processes.handles[worker]
            if report.never_ready:
                yield life.Failed(worker, _cannot_start(handle.segment, report))
            counts = handle.segment.index not in segments
            segments.add(handle.segment.index)
            yield life.Died(worker, self._deaths.error_of(handle, None, last, how), counts=counts)

    def _died(self, handle: WorkerHandle, status: int, last: Last) -> life.Event:
        error, signs = self._deaths.error_of(handle, status, last), last.signs
        beside = () if last.condemned else signs.beside  # else it is known which item it was
        return life.Died(handle.ident, error, signs.item, signs.deaths, beside=beside)

    def _done(self, handle: WorkerHandle, report: bytes) -> Iterator[life.Event]:
        if handle.death is not None:
            return  # read after its death: whoever takes its place does that work, and counts
        try:
            handle.result = returned.read(report)
        except Exception as error:  # unpickling runs code of the user's classes
            said = f"minipipe: while reading what local_term of {handle.name!r} returned"
            error.add_note(f"{said}{_IMPORT_IT if isinstance(error, WireFormatError) else ''}")
            yield life.Failed(handle.ident, error, True)
            return
        handle.is_done = True
        # One that has died has another one in its place, or was to leave.
        same = [h for h in self._processes.handles.values() if h.segment is handle.segment]
        if all(h.is_done or h.final is not None for h in same):
            too_many = self._failures.ended(handle.segment.index)
            if too_many is not None:
                yield life.Failed(handle.ident, too_many)
                return
        yield life.Done(handle.ident)

    def _failed(self, handle: WorkerHandle, failure: Failure) -> life.Event:
        error = failure.exception(self._where(handle, failure))
        return life.Failed(handle.ident, error, failure.doing in LAST_WORDS)

    def _where(self, handle: WorkerHandle, failure: Failure) -> str:
        """Where something has failed, in words."""
        item = item_of(self._processes.handles, failure.origin, failure.number, failure.path)
        value = f" ({failure.value})" if item and not handle.member.is_source else ""
        worker = worker_in_words(handle.name, failure.pid, handle.host_elsewhere)
        where = f"in {failure.doing} of segment {handle.segment.name!r} ({worker})"
        if item:
            where += f" at {item}{value}"
        return where


def _end_with(error: Exception | None) -> Iterator[life.Event]:
    if error is not None:
        yield life.StopAsked(outcome=life.Outcome.FAILED, cause=error)


def _refused(handle: WorkerHandle, report: Refused) -> StartError:
    reason = report.reason
    if report.why:
        return StartError(f"worker {handle.name!r} could not be started: {report.why}")
    return StartError(
        f"the process of worker {handle.name!r} could not be started: {os.strerror(reason)} "
        f"({errno.errorcode.get(reason, reason)}); there is too little memory, or the limit of "
        "processes (ulimit -u, or the container's) or of descriptors (ulimit -n) is reached"
    )


def _cannot_start(segment: GraphSegment, report: ZygoteLost) -> StartError:
    if report.why:
        return StartError(report.why)
    env = {} if segment.declared is None else segment.declared.env
    hint = f", with env={env!r}" if env else ""
    return StartError(
        f"the Python interpreter for the workers of segment {segment.name!r} did not start: it "
        f"ended with exit code {report.code}{hint}; what it said is on stderr"
    )
