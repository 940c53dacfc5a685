"""Gathers what the workers of a run have written down of what they do when, dead ones included."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from minipipe.errors import WireFormatError
from minipipe.graph import Graph, GraphSegment
from minipipe.observe.span_buffer import (
    SpanBuffer,
    room_of,
    shifted,
    size_bytes,
    unpacked,
    used,
)
from minipipe.observe.timeline import Span, Timeline, Track, resolved
from minipipe.observe.trace_wish import write_trace
from minipipe.protocol.frozen import frozen
from minipipe.protocol.run import lifecycle as life
from minipipe.protocol.run.vital_signs import Activity, EndStage, VitalSigns
from minipipe.stream import Node
from minipipe.stream.records import Spans
from minipipe.supervisor.worker_handle import WorkerHandle
from minipipe.worker.trace import trace_file

KEPT_BYTES = 64 * 2**20  # of workers that have ended: of the last ones


@frozen
class _Kept:
    """What is known of one worker, packed: as spans it takes ten times as much."""

    ident: int
    segment: str
    worker: str
    pid: int
    born_ns: int
    gone_ns: int | None
    end: str
    records: bytes
    last: Span | None  # that it was at
    threads: tuple[bytes, ...] = ()  # the records of each, if several call its functor
    host: str = ""  # the other machine that it runs on, if it does

    @property
    def size_bytes(self) -> int:
        """How much room it takes."""
        return len(self.records) + sum(map(len, self.threads))

    def tracks(self) -> Iterator[Track]:
        """The same, unpacked."""
        spans = resolved(unpacked(self.records))
        last = self.last
        if last is not None and (not spans or spans[-1].end_ns <= last.begin_ns):
            spans = (*spans, last)
        about = (self.ident, self.segment, self.worker, self.pid)
        yield Track(*about, self.born_ns, self.gone_ns, self.end, spans, host=self.host)
        for thread, records in enumerate(self.threads, 1):
            spans = resolved(unpacked(records))
            yield Track(*about, 0, self.gone_ns, self.end, spans, thread, self.host)


class Tracing:
    """Gathers it (an `Observer`): of each worker when it has ended, of the others when asked.

    Args:
        path: the file to be written at the end; None: only who asks is told.

    Attributes:
        room: how many spans each worker may write down.
    """

    def __init__(self, graph: Graph, path: str | None = None) -> None:
        self._path = path
        self.room = room_of(sum(s.n_processes * (1 + _threads(s)) for s in graph.segments))
        self._segments = tuple(segment.name for segment in graph.segments)
        self._directory = ""
        self._handles: Callable[[], Iterable[WorkerHandle]] = tuple
        self._began_ns = time.monotonic_ns()
        self._ended_ns = 0
        self._caller: bytearray | None = None
        self._past: dict[int, _Kept] = {}  # those that have ended, in turn
        self._past_bytes = self._forgotten = 0
        self._sent: dict[tuple[int, int], tuple[int, bytes]] = {}  # as `used`, by worker, thread
        self._lock = threading.Lock()

    def begin(self, directory: str, handles: Callable[[], Iterable[WorkerHandle]]) -> None:
        """From now on there may be workers.

        Args:
            directory: where they write it down.
            handles: all that are known now.
        """
        self._directory, self._handles = directory, handles

    def begin_caller(self, node: Node) -> None:
        """What the caller's loop does is written down, too."""
        self._caller = bytearray(size_bytes(self.room))
        node.time_use.spans = SpanBuffer(self._caller, self.room, time.monotonic_ns())

    def event(self, event: life.Event, now_s: float) -> None:
        if isinstance(event, life.Died):
            for handle in self._handles():
                if handle.ident == event.worker:
                    self._keep(handle)

    def take(self, handle: WorkerHandle, said: Spans) -> None:
        """What a worker on another host has written down comes at its end, in its own clock.

        (That of this machine is taken to be so far ahead of it as it is now: the way of the message
        counts as such, which is some milliseconds.)

        Raises:
            WireFormatError: it is none, or more than was allowed.
        """
        by_ns = time.monotonic_ns() - said.now_ns
        fits = len(said.packed) <= size_bytes(self.room)
        if not fits or not 0 <= said.thread <= _threads(handle.segment):
            raise WireFormatError("it has more spans, or threads, than there are")
        try:
            moved = said.created_ns + by_ns, shifted(said.packed, by_ns)
        except ValueError as error:
            raise WireFormatError(str(error)) from error
        self._sent[handle.ident, said.thread] = moved

    def action(self, action: life.Action, now_s: float) -> None:
        pass  # what has happened counts

    def due_in_s(self, now_s: float) -> float | None:
        return None

    def end(self) -> None:
        """All have ended, and their directory goes: writes the file."""
        if self._ended_ns:
            return
        for handle in self._handles():
            if handle.ident not in self._past:
                self._keep(handle)
        self._ended_ns = time.monotonic_ns()
        if self._path is not None and self._directory:
            write_trace(self._path, self.timeline())

    def timeline(self) -> Timeline:
        """What all have done so far."""
        now_ns = self._ended_ns or time.monotonic_ns()
        with self._lock:
            known, forgotten = dict(self._past), self._forgotten
        if not self._ended_ns:
            for handle in self._handles():
                if handle.ident not in known:
                    known[handle.ident] = self._of(handle, now_ns, None)
        tracks = [track for kept in known.values() for track in kept.tracks()]
        place = {name: place for place, name in enumerate(self._segments)}
        tracks.sort(key=lambda t: (place[t.segment], t.worker, t.ident, t.thread))
        return Timeline(self._began_ns, now_ns, self._segments, tuple(tracks), forgotten)

    def _keep(self, handle: WorkerHandle) -> None:
        """Keeps what a worker has written down that has ended."""
        now_ns = time.monotonic_ns()
        kept = self._of(handle, now_ns, now_ns)
        with self._lock:
            before = self._past.pop(handle.ident, None)  # of an attempt to start it otherwise
            self._past_bytes += kept.size_bytes - (0 if before is None else before.size_bytes)
            self._past[handle.ident] = kept
            while self._past_bytes > KEPT_BYTES and len(self._past) > 1:
                lost = self._past.pop(next(iter(self._past)))
                self._past_bytes -= lost.size_bytes
                self._forgotten += 1
        if self._directory:
            for thread in range(_threads(handle.segment) + 1):
                self._sent.pop((handle.ident, thread), None)
                Path(trace_file(self._directory, handle.ident, thread)).unlink(missing_ok=True)

    def _of(self, handle: WorkerHandle, now_ns: int, gone_ns: int | None) -> _Kept:
        born_ns, records = self._used(handle)
        died = gone_ns is not None and handle.vitals.end() is EndStage.AT_WORK
        died = died and not (handle.is_done or handle.member.is_caller)
        end = "died" if died else "running" if gone_ns is None else "gone"
        last = _last(handle.vitals.signs(), now_ns)
        about = (handle.ident, handle.segment.name, handle.name, handle.pid)
        threads = range(1, _threads(handle.segment) + 1)
        of_threads = tuple(self._used(handle, thread)[1] for thread in threads)
        host = handle.host_elsewhere
        return _Kept(*about, born_ns, gone_ns, end, records, last, of_threads, host)

    def _used(self, handle: WorkerHandle, thread: int = 0) -> tuple[int, bytes]:
        sent = self._sent.get((handle.ident, thread))
        return used(self._memory(handle, thread)) if sent is None else sent

    def _memory(self, handle: WorkerHandle, thread: int = 0) -> bytes:
        """What it has written down, as it is; nothing, if it never came so far."""
        if handle.member.is_caller:
            return b"" if self._caller is None else bytes(self._caller)
        try:
            return Path(trace_file(self._directory, handle.ident, thread)).read_bytes()
        except OSError:
            return b""  # not yet; or the directory was removed, and the run ends with that


def _threads(segment: GraphSegment) -> int:
    """How many threads of a worker call its functor, if that is not its main one."""
    return segment.threads if segment.threads > 1 else 0


def _last(signs: VitalSigns, now_ns: int) -> Span | None:
    """What a worker is at now, or was at when it died; None: nothing that is shown."""
    begin_ns = signs.since_ns
    lasted_ns = now_ns - begin_ns
    if lasted_ns <= 0:
        return None
    match signs.activity:
        case Activity.STARVED:
            return Span(begin_ns, now_ns, starved_ns=lasted_ns)
        case Activity.BLOCKED:
            return Span(begin_ns, now_ns, blocked_ns=lasted_ns)
        case Activity.BUSY | Activity.OWN if signs.is_in_functor:
            calls = int(signs.number is not None)
            return Span(begin_ns, now_ns, lasted_ns, 0, 0, calls, signs.number, signs.origin)
    return None
