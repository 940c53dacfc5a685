"""What a supervisor and the gateway of its run say to each other, over a socket pair.

Both are processes of one user on one machine, started one by the other, so pickles may go that way.
What agents have said is made plain before it comes here.
"""

from __future__ import annotations

import pickle
import socket
import struct
from collections import deque
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple

from minipipe.protocol.frozen import frozen
from minipipe.protocol.hosts.versions import Versions
from minipipe.transport import NATIVE, Trust
from minipipe.worker.pickled_functor import PickledFunctor
from minipipe.worker.plan import Plan
from minipipe.worker.spec import WorkerSpec

_HEAD: Final = struct.Struct("<BQ")
_CHUNK_BYTES: Final = 1 << 20
# Of a worker: its two streams, its side channel, its page, and its end of the control socket.
DESCRIPTORS: Final = 5
_MOST_DESCRIPTORS: Final = 64


class Ask(IntEnum):
    """What the supervisor wants."""

    SETUP = 1  # Setup
    WORKER = 2  # worker; its descriptors beside it: it has no host yet
    PLACE = 3  # worker, host, Package
    KILL = 4  # worker, call, hard
    CALL_OFF = 5
    STACK = 6  # worker
    FORGET = 7  # workers: they are over
    MAY_LEAVE = 8  # host: no worker is placed there any more
    END = 9  # the run is over; without it, its program was killed


class Tell(IntEnum):
    """What the gateway has to say."""

    READY = 20  # port
    BROKEN = 21  # why: it does not work at all
    JOINED = 22  # host, offer
    LOST = 23  # host, why, workers
    LEAVING = 24  # host, why
    STARTED = 25  # worker, pid
    REFUSED = 26  # worker, errno, why
    EXITED = 27  # worker, status, condemned, stack
    ZYGOTE_LOST = 28  # host, workers, never_ready, code, why
    NOTE = 29  # level, text
    LINK = 30  # LinkUse
    SPANS = 31  # worker, Spans


@frozen
class About:
    """What a run says of itself to agents, and goes by when one wants to join.

    Attributes:
        name: of the run, for people.
        lost_after_s: how long a machine may be silent.
        versions: of what the run needs everywhere.
        needed: packages whose modules functors name.
        manifest, shipped: the user's code, and what is in it.
    """

    name: str
    lost_after_s: float
    versions: Versions
    needed: tuple[str, ...]
    manifest: bytes
    shipped: bytes


@frozen
class Setup:
    """What a gateway is told first.

    Attributes:
        name: of the run, for people.
        bind: the address that agents come to.
        directory: of the run, on this machine.
        supervisor: the address of its inbox.
        public, secret: the keys of CURVE that the run is known by.
        guest_key: the public key of who has the token.
        lost_after_s: how long an agent may be silent.
        is_plain: nothing is encrypted.
        about: what an agent is told that joins, and what is compared with it.
        trust: what is accepted of agents beside plain data.
    """

    name: str
    bind: str
    directory: str
    supervisor: str
    public: str
    secret: str
    guest_key: str
    lost_after_s: float
    is_plain: bool
    about: About
    trust: Trust = NATIVE


@frozen
class Package:
    """What an agent needs to start a worker.

    Attributes:
        lost_after_s: how long its machine may be silent before it is given up.
        memory: what is large of its functor, as one block.
        plan: what its zygote imports beforehand.
        environment: what is to be otherwise than in the agent's own.
    """

    spec: WorkerSpec
    functor: PickledFunctor
    lost_after_s: float
    memory: bytes | None
    plan: Plan
    environment: Mapping[str, str]


class Said(NamedTuple):
    """One message."""

    word: int
    fields: tuple[Any, ...]


def packed(word: int, *fields: Any) -> bytes:
    """The bytes of a message."""
    body = pickle.dumps(fields, protocol=5)
    return _HEAD.pack(word, len(body)) + body


class Hearing:
    """Takes messages, and the descriptors beside them, off a socket that does not block.

    Attributes:
        has_ended: the other process is gone.
        fds: that have come, in their order.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._came = bytearray()
        self.has_ended = False
        self.fds: deque[int] = deque()

    def messages(self) -> Iterator[Said]:
        """Those that have come whole."""
        if not self.has_ended:
            self._read()
        while len(self._came) >= _HEAD.size:
            word, size = _HEAD.unpack_from(self._came)
            stop = _HEAD.size + size
            if len(self._came) < stop:
                return
            fields = pickle.loads(memoryview(self._came)[_HEAD.size : stop])
            del self._came[:stop]
            yield Said(word, fields)

    def _read(self) -> None:
        try:
            chunk, fds, _, _ = socket.recv_fds(self._end, _CHUNK_BYTES, _MOST_DESCRIPTORS)
        except (BlockingIOError, InterruptedError):
            return
        except ConnectionResetError:
            chunk, fds = b"", []
        self.fds.extend(fds)
        self.has_ended = not chunk
        self._came += chunk
