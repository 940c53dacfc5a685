"""Where a worker writes down what it does when: a file in the run's directory, mapped to memory.

The kernel keeps what was written there, however the worker ends.
"""

from __future__ import annotations

import itertools
import logging
import mmap
import os
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from minipipe.process.describe import in_a_line
from minipipe.protocol.delivery.membership import LOCAL_HOST
from minipipe.stream import Node, records

if TYPE_CHECKING:
    from minipipe.observe.span_buffer import SpanBuffer
    from minipipe.worker.spec import WorkerSpec


def trace_file(directory: str, ident: int, thread: int = 0) -> str:
    """The file of a worker, or of one of the threads that call its functor (from 1 on)."""
    return os.path.join(directory, f"trace-{ident}.{thread}" if thread else f"trace-{ident}")


def begin_trace(spec: WorkerSpec, node: Node) -> None:
    """From now on it is written down what this worker does, if that is wished, and possible."""
    node.time_use.spans = _buffer(spec, node)


def thread_traces(spec: WorkerSpec, node: Node, count: int) -> Sequence[SpanBuffer]:
    """Where so many threads write down their calls, each in its own; none if nobody wishes that."""
    made = []
    for thread in range(1, count + 1):
        buffer = _buffer(spec, node, thread)
        if buffer is None:
            return ()
        made.append(buffer)
    return made


def send_spans(spec: WorkerSpec, node: Node) -> None:
    """At its end a worker on another host sends what it has written down, as its files are there.

    (Of one that was killed its agent does.)
    """
    if spec.host != LOCAL_HOST:
        for spans in taken_spans(spec):
            node.report(spans)


def taken_spans(spec: WorkerSpec) -> Iterator[records.Spans]:
    """What a worker has written down, and each of its threads; its files are gone then."""
    if spec.trace is None:
        return
    from minipipe.observe.span_buffer import used

    for thread in itertools.count():
        path = trace_file(spec.directory, spec.ident, thread)
        try:
            with open(path, "rb") as file:
                created_ns, packed = used(file.read())
            os.unlink(path)
        except OSError:  # there are no more
            return
        yield records.Spans(thread, created_ns, packed, time.monotonic_ns())


def _buffer(spec: WorkerSpec, node: Node, thread: int = 0) -> SpanBuffer | None:
    if spec.trace is None:
        return None
    from minipipe.observe.span_buffer import SpanBuffer, size_bytes

    path, size = trace_file(spec.directory, spec.ident, thread), size_bytes(spec.trace)
    try:
        fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            _reserve(fd, size)
            memory = mmap.mmap(fd, size)
        finally:
            os.close(fd)
    except OSError as error:
        text = f"{spec.name}: there is no trace of it ({in_a_line(error)})"
        node.report(records.Log(logging.WARNING, text))
        return None
    return SpanBuffer(memory, spec.trace, time.monotonic_ns())


def _reserve(fd: int, size: int) -> None:
    """Makes room for it: on a disk that is full, writing to the memory would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:
        os.ftruncate(fd, size)
