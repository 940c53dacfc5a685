"""A worker of another host, as the gateway of its run has it: the descriptors that stand for it.

The supervisor made them as for a worker here, and sees no difference: what the worker prints goes
into its pipes, what the supervisor orders is read off its control socket, and its vital signs are
written to its status page.
"""

from __future__ import annotations

import mmap
import os
import time
import zlib
from collections.abc import Sequence
from typing import Any, Protocol

from minipipe.agent.words import CREDIT_BYTES, LAST_BYTES, Word, printable, say
from minipipe.agent.writing import Writing
from minipipe.errors import WireFormatError
from minipipe.errors.cause import because
from minipipe.stream.page import SIZE_BYTES, Page
from minipipe.stream.records import Spans
from minipipe.supervisor.hosts.gateway_words import Tell
from minipipe.transport import Buffer

_CHUNK_BYTES = 1 << 16
MAX_SPANS_BYTES = 1 << 24  # of all its threads; a run has room for half of that
MAX_REST_BYTES = 1 << 20  # of what stands behind a page: its stacks
# Of a stream, that was not read here yet: an agent keeps to its credit, but for last words.
MOST_PRINTED_BYTES = CREDIT_BYTES + LAST_BYTES + (1 << 20)


class Telling(Protocol):
    """Says something to the supervisor."""

    def __call__(self, word: Tell, *fields: Any) -> None: ...


class Proxy:
    """One worker.

    Attributes:
        host: that it runs on; "": none yet.
        is_started: it has a process, or had.
        is_over: its process is gone.

    Args:
        worker: its id.
        fds: its streams, its side channel, its page, its end of the control socket.
    """

    def __init__(self, worker: int, fds: Sequence[int]) -> None:
        self.worker = worker
        self.host = ""
        self.is_started = self.is_over = False
        self._spans_bytes = 0
        out, err, side, self._page_fd, self._control = fds
        self._streams = [Writing(out), Writing(err), Writing(side)]
        self._page = Page(mmap.mmap(self._page_fd, SIZE_BYTES))
        self._page.far = 1
        os.set_blocking(self._control, False)

    @property
    def control(self) -> int:
        """A descriptor that is readable when there are orders; -1: there will be none."""
        return self._control

    def orders(self) -> list[list[Buffer]]:
        """What the agent is to be sent of them."""
        try:
            chunk = os.read(self._control, _CHUNK_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            chunk = b""
        if chunk:
            return [say(Word.ORDERS, self.worker, frames=[chunk])]
        self._hang_up()
        return [say(Word.HANG_UP, self.worker)]

    def _hang_up(self) -> None:
        if self._control >= 0:
            os.close(self._control)
            self._control = -1

    # -------------------------------------------------------- what its agent says
    def heard(
        self, word: Word, fields: tuple[Any, ...], rest: Sequence[Buffer], tell: Telling
    ) -> None:
        """Its agent says something of it.

        Args:
            fields: behind the worker.
            rest: the frames behind them.

        Raises:
            WireFormatError: that is nothing to be said.
        """
        match word, len(rest):
            case Word.STARTED, 0:
                if not self.is_started:
                    self.is_started = True
                    tell(Tell.STARTED, self.worker, *fields)
            case Word.REFUSED, 0:
                self.is_over = True
                tell(Tell.REFUSED, self.worker, fields[0], printable(fields[1]))
            case Word.EXITED, 0:
                self.is_over = True
                status, condemned, stack = fields
                tell(Tell.EXITED, self.worker, status, condemned, printable(stack))
            case Word.PRINTED, 1:
                self.printed(fields[0], rest[0])
            case Word.END_OF_STREAM, 0:
                self.end_of_stream(fields[0])
            case Word.VITALS, 2:
                self.show(fields, rest[0], rest[1])
            case Word.SPANS, 1:
                self._spans_bytes += len(rest[0])
                if self._spans_bytes > MAX_SPANS_BYTES:
                    raise WireFormatError("a worker has done more than it could write down")
                thread, created_ns, now_ns = fields
                tell(Tell.SPANS, self.worker, Spans(thread, created_ns, bytes(rest[0]), now_ns))
            case _:
                raise WireFormatError(f"{word.name} is not for a gateway")

    def printed(self, stream: int, data: Buffer) -> None:
        """It has written this to one of its streams.

        Raises:
            WireFormatError: there is no such one, or more was sent than was asked for.
        """
        if not 0 <= stream < len(self._streams):
            raise WireFormatError(f"a worker has no stream {stream:d}")
        writing = self._streams[stream]
        if writing.waiting_bytes + len(data) > MOST_PRINTED_BYTES:
            raise WireFormatError("a worker's prints came faster than they were asked for")
        writing.add(bytes(data))

    def end_of_stream(self, stream: int) -> None:
        """Nothing more comes of this one."""
        if 0 <= stream < len(self._streams):
            self._streams[stream].close_behind()

    @property
    def waits(self) -> bool:
        """Whether something of what it has written could not be handed on yet."""
        return any(stream.waits for stream in self._streams)

    def write(self) -> list[list[Buffer]]:
        """Hands it on; what the agent is to be told of that."""
        told: list[list[Buffer]] = []
        for number, stream in enumerate(self._streams):
            if stream.waits and (size := stream.write()):
                told.append(say(Word.TAKEN, self.worker, number, size))
        return told

    def show(self, fields: tuple[int, ...], packed: Buffer, rest: Buffer) -> None:
        """Its vital signs.

        Args:
            fields: as of `Word.VITALS`, behind the worker.
            packed: its page.
            rest: what stands behind that in its file.

        Raises:
            WireFormatError: that is no page.
        """
        clock_ns, state, cpu_ns, own_cpu_ns, wait_ns, memory_bytes, at = fields
        opened = zlib.decompressobj()
        try:
            content = opened.decompress(bytes(packed), SIZE_BYTES)
        except zlib.error as error:
            raise because(WireFormatError("the page of a worker is unreadable"), error) from error
        if len(content) != SIZE_BYTES or len(rest) > MAX_REST_BYTES or at < 0:
            raise WireFormatError("the page of a worker has another size")
        numbers = (state, cpu_ns, own_cpu_ns, wait_ns, memory_bytes)
        if any(not 0 <= number < 1 << 63 for number in numbers):
            raise WireFormatError("the vital signs of a worker are out of range")
        far = (1 + (state != 0), *numbers[1:])
        try:
            self._page.take_over(content, time.monotonic_ns() - clock_ns, far)
        except ValueError as error:
            raise because(WireFormatError("the page of a worker is none"), error) from error
        if len(rest):
            os.pwrite(self._page_fd, bytes(rest), SIZE_BYTES + min(at, MAX_REST_BYTES))

    def close(self) -> None:
        """Closes all of it; what could not be handed on is lost."""
        self._hang_up()
        for stream in self._streams:
            stream.write()
            stream.close()
        if self._page_fd >= 0:
            self._page.close()
            os.close(self._page_fd)
            self._page_fd = -1
