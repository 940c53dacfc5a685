"""`ZmqSource`: messages of other programs become items."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from minipipe.errors import MessageRefusedError, WireFormatError
from minipipe.process.describe import text_of
from minipipe.process.worker_info import get_worker_info
from minipipe.programs.codecs import Unpacks, unpacking
from minipipe.programs.ends import NOTHING, Ends, check_ends
from minipipe.programs.options import MAX_BYTES, check_topics, plan_socket
from minipipe.segments.kinds import Source
from minipipe.transport.curve import CurveClient, CurveServer
from minipipe.transport.program_socket import LOOK_S, ProgramSocket, SocketPlan

_OPTIONS = ("address", "pattern", "bind", "codec", "ends", "topics", "curve", "security", "hwm")


class ZmqSource(Source):
    """Yields what other programs send, one item a message: anything that speaks ZeroMQ and msgpack.

        # the other program, in which there is no MiniPipe
        socket = zmq.Context().socket(zmq.PUSH)
        socket.connect("tcp://127.0.0.1:5555")
        socket.send(msgpack.packb({"x": array}, default=msgpack_numpy.encode))

        pline = mp.PipeLine()
        pline.add(mp.ZmqSource("tcp://127.0.0.1:5555", bind=True, ends=mp.Ends(idle_s=10)))

    A message is taken from the socket when the pipeline has room for its item, so a "pull" makes
    its senders wait.  Nothing is acknowledged: what was sent and not yet passed on is lost if this
    Source's worker dies, which ends the run, as that of any Source does.  A "sub" loses what is
    published before it is there, or faster than it reads.

    A message is refused that is malformed, nested too deeply, larger than `max_bytes`, of another
    number of frames, or that msgpack-numpy would unpickle.  That is a failure like any other of a
    functor: it ends the run; within `max_failures`, or `ignore_exceptions=
    mp.MessageRefusedError`, it is skipped, and with `dead_letter` kept, as bytes (its number there
    is the how-manieth message it was).

    Args:
        address: "tcp://HOST:PORT", "ipc://PATH".
        pattern: "pull" (others push; each message goes to one of those who pull) or "sub" (others
            publish).
        bind: whether it waits for others to connect, in one process; else it connects, and with
            "pull" several may (n_processes).
        codec: "msgpack-numpy", "minipipe" (what a ZmqSink with that codec sends), or a function
            that makes an item of the bytes of a message (a memoryview, only valid in that call).
        ends: when the stream is over, an `mp.Ends`; None (default): at `stop()`.
        topics: what a "sub" subscribes to.  A message then has two frames, topic and item; without
            topics everything comes, and a message has one frame.
        curve: the keys, `mp.CurveServer` or `mp.CurveClient`; an address that can be reached from
            outside of this machine needs them.
        security: "none": such an address without keys, for anybody.
        hwm: so many messages of each peer may wait here; None: 16, or 1000 for a "sub", and over
            ipc: there, what a sender that ends had in the kernel is lost if more than that wait.
        max_bytes: the size of a message.  A frame of more than twice that is not read at all, and
            ends the connection, uncounted.
        name, **options: those of a Source, and `dead_letter`.

    Raises:
        OptionError: an option that does not exist, or with an impossible value.
        TransportError: in the run: the address is in use, or none of this machine.
        MessageRefusedError: in the run: see above.
    """

    options = (*Source.options, *_OPTIONS, "max_bytes")
    keeps_refused = True
    comes_once = True

    def __init__(
        self,
        address: str,
        name: str = "ZmqSource",
        *,
        pattern: str = "pull",
        bind: bool = False,
        codec: str | Callable[[memoryview], Any] = "msgpack-numpy",
        ends: Ends | None = None,
        topics: str | bytes | Sequence[str | bytes] | None = None,
        curve: CurveServer | CurveClient | None = None,
        security: str | None = None,
        hwm: int | None = None,
        max_bytes: int = MAX_BYTES,
        **options: Any,
    ) -> None:
        where = f"{type(self).__name__} {name!r}"
        ended = check_ends(ends, where)
        plan = plan_socket(
            where,
            address,
            pattern,
            ("pull", "sub"),
            bind=bind,
            curve=curve,
            security=security,
            hwm=hwm,
            max_bytes=max_bytes,
            topics=check_topics(topics, pattern, "sub", where),
        )
        self.never_several = _why_alone(plan, ended)
        functor = MessageReader(plan, unpacking(codec, where), ended)
        super().__init__(functor, name, **options)


def _why_alone(plan: SocketPlan, ends: Ends | None) -> str:
    """Why it cannot have several workers; "": it can."""
    if plan.bind:
        return (
            f"one process can be bound to {plan.address.text!r}; several can connect (bind=False)"
        )
    if plan.pattern == "sub":
        return "each of its workers would get every message that is published"
    if ends is not None and (ends.item is not NOTHING or ends.count is not None):
        return (
            "the item, or the count, that ends the stream comes to one of its workers, and the "
            "others would wait for ever: use mp.Ends(idle_s=...)"
        )
    return ""


@dataclass
class MessageReader:
    """The functor."""

    plan: SocketPlan
    unpacks: Unpacks
    ends: Ends | None
    _socket: ProgramSocket | None = field(default=None, repr=False, compare=False)
    _numbers: Iterator[int] = field(default_factory=count, repr=False, compare=False)

    def local_init(self) -> None:
        self._socket = ProgramSocket(self.plan)
        self._numbers = count()  # through all passes: letters of two messages are told apart

    def local_term(self) -> None:
        if self._socket is not None:
            self._socket.close(0.0)
            self._socket = None

    minipipe_release = local_term

    def run(self, worker: int, n_workers: int) -> Iterator[Any]:
        """The items of a pass."""
        assert self._socket is not None
        return Messages(self._socket, self.plan, self.unpacks, self.ends, self._numbers)


class Messages:
    """The items of the messages that come; it goes on after one that was refused."""

    def __init__(
        self,
        socket: ProgramSocket,
        plan: SocketPlan,
        unpacks: Unpacks,
        ends: Ends | None,
        numbers: Iterator[int],
    ) -> None:
        self._socket = socket
        self._plan = plan
        self._unpacks = unpacks
        self._ends = ends
        self._numbers = numbers
        self._number = 0
        self._count = 0
        self._is_over = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        ends = self._ends
        if self._is_over or (ends is not None and ends.count == self._count):
            raise StopIteration
        frames = self._next_message()
        if frames is None:
            self._is_over = True
            raise StopIteration
        self._count += 1
        self._number = next(self._numbers)
        item = self._item(frames)
        if ends is not None and ends.by_item(item):
            self._is_over = True
            raise StopIteration
        return item

    def _next_message(self) -> Sequence[bytes | memoryview] | None:
        """The frames of the next message; None: the stream is over."""
        idle_s = None if self._ends is None else self._ends.idle_s
        info = get_worker_info()
        until_s = None if idle_s is None else time.monotonic() + idle_s
        while info is None or not info.draining:
            left_s = LOOK_S if until_s is None else min(LOOK_S, until_s - time.monotonic())
            frames = self._socket.receive(max(0.0, left_s))
            if frames is not None:
                return frames
            if until_s is not None and time.monotonic() >= until_s:
                return None
        return None

    def _item(self, frames: Sequence[bytes | memoryview]) -> Any:
        plan = self._plan
        expected = 2 if plan.topics else 1
        size_bytes = sum(map(len, frames))
        if len(frames) != expected:
            of = "a topic and an item" if plan.topics else "one item"
            raise self._refused(frames, f"it has {len(frames)} frames, expected {expected} ({of})")
        if size_bytes > plan.max_bytes:
            raise self._refused(frames, f"more than max_bytes={plan.max_bytes}")
        try:
            return self._unpacks(memoryview(frames[-1]))
        except WireFormatError as error:
            raise self._refused(frames, str(error)) from error
        except Exception as error:  # a codec of the user's may raise anything
            why = f"its codec raised {type(error).__name__}: {text_of(error)}"
            raise self._refused(frames, why) from error

    def _refused(self, frames: Sequence[bytes | memoryview], why: str) -> MessageRefusedError:
        error = MessageRefusedError(self._plan.where, why, sum(map(len, frames)), self._number)
        copies = [bytes(frame) for frame in frames]
        error.message = copies[0] if len(copies) == 1 else copies
        return error
