"""A worker on an agent's machine: what the agent has of it, and forwards."""

from __future__ import annotations

import os
import socket
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from minipipe.agent.words import CREDIT_BYTES, LAST_BYTES, STREAMS, Word, say
from minipipe.agent.writing import Writing
from minipipe.stream.page import SIZE_BYTES
from minipipe.supervisor.hosts.base import Descriptors
from minipipe.supervisor.shared_page import SharedPage, page_of_worker
from minipipe.transport import Buffer
from minipipe.worker.spec import WorkerSpec
from minipipe.worker.trace import taken_spans

_CHUNK_BYTES = 1 << 16
MAX_REST_BYTES = 1 << 18  # of what stands behind a page: its stacks


@dataclass
class _Stream:
    """One of its pipes, which is read as long as the other side takes what it gives."""

    fd: int
    credit_bytes: int = CREDIT_BYTES
    has_ended: bool = False


class Hosted:
    """One worker.

    Attributes:
        page: its status page.
        spec: of it, as it is here.
    """

    def __init__(self, spec: WorkerSpec) -> None:
        self.spec = spec
        self.page: SharedPage = page_of_worker()
        self._streams: list[_Stream] = []
        self._theirs: list[int] = []
        try:
            for _ in STREAMS:
                read, write = os.pipe()
                os.set_blocking(read, False)
                self._streams.append(_Stream(read))
                self._theirs.append(write)
            ours, theirs = socket.socketpair()
        except OSError:
            self.close()
            raise
        self._control = Writing(ours.detach())
        self._theirs.append(theirs.detach())
        self._shown: bytes = b""  # the page, as it was sent last
        self._behind: bytes = b""  # and what stands behind it
        self._facts: tuple[int, ...] = ()

    @property
    def descriptors(self) -> Descriptors:
        """What its process is given."""
        out, err, side, control = self._theirs
        return Descriptors(out, err, side, self.page, control)

    def started(self) -> None:
        """Its process has been given them, or never will be."""
        while self._theirs:
            os.close(self._theirs.pop())

    # ----------------------------------------------------------------- its orders
    def order(self, data: bytes) -> None:
        """Something for its control socket."""
        self._control.add(data)
        self._control.write()

    def hang_up(self) -> None:
        """Nothing more comes there: to the worker that says that its supervisor has ended."""
        self._control.close_behind()

    @property
    def waits(self) -> bool:
        """Whether it has not taken all of its orders."""
        return self._control.waits

    def write(self) -> None:
        """Gives it more of them."""
        self._control.write()

    # ------------------------------------------------------------- what it writes
    def filenos(self) -> list[int]:
        """What is readable when it has written something that may be sent now."""
        return [s.fd for s in self._streams if s.credit_bytes > 0 and not s.has_ended]

    def taken(self, stream: int, size_bytes: int) -> None:
        """So much of what was sent has been written at the other side."""
        self._streams[stream].credit_bytes += size_bytes

    def printed(self, readable: frozenset[int]) -> Iterator[list[Buffer]]:
        """What is to be sent of what it has written."""
        for number, stream in enumerate(self._streams):
            if stream.fd in readable:
                yield from self._read(number, stream)

    def _read(self, number: int, stream: _Stream) -> Iterator[list[Buffer]]:
        try:
            chunk = os.read(stream.fd, _CHUNK_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        if chunk:
            stream.credit_bytes -= len(chunk)
            yield say(Word.PRINTED, self.spec.ident, number, frames=[chunk])
        elif not stream.has_ended:
            stream.has_ended = True
            yield say(Word.END_OF_STREAM, self.spec.ident, number)

    def last_words(self) -> Iterator[list[Buffer]]:
        """What it had written when its process ended, whatever the other side has taken."""
        for number, stream in enumerate(self._streams):
            left_bytes = LAST_BYTES
            while left_bytes > 0 and not stream.has_ended:
                found = list(self._read(number, stream))
                if not found:
                    break
                left_bytes -= _CHUNK_BYTES
                yield from found
            if not stream.has_ended:  # what it has started may hold the pipe for ever
                stream.has_ended = True
                yield say(Word.END_OF_STREAM, self.spec.ident, number)

    def spans(self) -> Iterator[list[Buffer]]:
        """What it had written down of what it did, if it could not send that itself."""
        for thread, created_ns, packed, now_ns in taken_spans(self.spec):
            about = (self.spec.ident, thread, created_ns, now_ns)
            yield say(Word.SPANS, *about, frames=[packed])

    # ------------------------------------------------------------ its vital signs
    def vitals(self) -> list[Buffer] | None:
        """What is to be sent of them; None: nothing has changed."""
        page = self.page
        content = page.page.content
        usage = page.usage()
        facts = (
            int(page.is_stopped()),
            int(usage.cpu_s * 1e9),
            page.own_cpu_ns(),
            int(usage.core_wait_s * 1e9),
            usage.memory_bytes,
        )
        behind = os.pread(page.fd, MAX_REST_BYTES, SIZE_BYTES)
        if (content, facts, behind) == (self._shown, self._facts, self._behind):
            return None
        at = _first_difference(self._behind, behind)
        self._shown, self._facts, self._behind = content, facts, behind
        frames = [zlib.compress(content, 1), behind[at:]]
        about = (self.spec.ident, time.monotonic_ns(), *facts, at)
        return say(Word.VITALS, *about, frames=frames)

    def close(self) -> None:
        """Gives back all of it; its process is gone."""
        self.started()
        for stream in self._streams:
            os.close(stream.fd)
        self._streams.clear()
        if hasattr(self, "_control"):
            self._control.close()
        self.page.close()


def _first_difference(before: bytes, now: bytes) -> int:
    if now.startswith(before):
        return len(before)
    return 0
