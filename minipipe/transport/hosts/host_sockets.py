"""All sockets of a host to other hosts: who joins, and the links.

    ours = HostSockets("host 'a'", keys)
    ours.listen("tcp://0.0.0.0:7711", guest_key, on_join)
    there = ours.connect("b", endpoints, server_key)   # or, of one that comes: ours.admit(key, "b")
    while ...:
        ours.serve(1.0)
        while (arrived := there.receive()) is not None: ...; there.handed_over(arrived.number)

One thread serves them: that of a gateway, or of an agent.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence

import zmq

from minipipe.errors import WireFormatError
from minipipe.protocol.flow.link import WINDOW_BYTES, Link
from minipipe.protocol.flow.link_frames import Farewell, Resume
from minipipe.protocol.flow.patience import DEFAULT, Patience
from minipipe.protocol.hosts import link_wire
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.protocol.hosts.joining import (
    Answer,
    JoinRequest,
    Refused,
    Welcome,
    read_request,
    write_answer,
)
from minipipe.protocol.hosts.pieces import Buffer
from minipipe.transport.curve import CurveClient, CurveKeys, raw_key
from minipipe.transport.hosts.accepting import GUEST, AcceptedConnection, Accepting, Came
from minipipe.transport.hosts.dialed import Dialed
from minipipe.transport.hosts.link_end import TURN, LinkEnd
from minipipe.transport.hosts.sockets import allow_descriptors, boot_time_s, keep_memory

logger = logging.getLogger("minipipe")

CLOSE_S = 1.0  # for what is said last


class HostSockets:
    """The sockets, in the one thread that uses them.

    Args:
        where: the host, for what is logged.
        keys: by which it is known, as a server and as a client.
        patience: of its links; the same for all hosts of a run.
        window_bytes: of each link.
        is_plain: nothing is encrypted where others come to.
    """

    def __init__(
        self,
        where: str,
        keys: CurveKeys,
        *,
        patience: Patience = DEFAULT,
        window_bytes: int = WINDOW_BYTES,
        is_plain: bool = False,
    ) -> None:
        keep_memory()
        self._where, self._keys, self._is_plain = where, keys, is_plain
        self._patience, self._window_bytes = patience, window_bytes
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._accepting: Accepting | None = None
        self._on_join: Callable[[JoinRequest], Answer] | None = None
        self._guest_key: bytes | None = None
        self._refused: set[str] = set()  # by their keys: hosts of whom something was, which is said
        self._welcomed: dict[bytes, tuple[bytes, Answer]] = {}  # key: what it said, and was told
        self._accepted: dict[str, LinkEnd] = {}  # by their key
        self._dialed: list[Dialed] = []
        self._has_more = False

    def listen(
        self,
        address: str,
        guest_key: str | None = None,
        on_join: Callable[[JoinRequest], Answer] | None = None,
        keys: CurveKeys | None = None,
    ) -> int:
        """Lets others come to this address from now on.

        This process may have as many descriptors as the system lets it, from now on.

        Args:
            address: `tcp://HOST:PORT`; port 0 is any that is free.
            guest_key: the public key of those who have the token.
            on_join: asked by a guest; answers, after `admit` if that is a welcome.  It is asked
                once for a key that it welcomes: if that answer was lost, it is given again.
            keys: by which it is known to those who come, if not by its own.

        Returns:
            The port.

        Raises:
            OptionError: the address is none.
            TransportError: it cannot be bound.
        """
        allow_descriptors()
        about = (address, self._where, self._patience)
        accepting = Accepting(self._context, keys or self._keys, *about, is_plain=self._is_plain)
        self._accepting, self._on_join = accepting, on_join
        if guest_key is not None:
            self._guest_key = raw_key(guest_key, "the key of guests")
            accepting.admit(guest_key, GUEST)
        return accepting.port

    def admit(self, key: str, name: str, allocate: Callable[[int], Buffer] = bytearray) -> LinkEnd:
        """The link to the host with this key, which comes to us; asked again, the same one."""
        assert self._accepting is not None, "listen first"
        if key not in self._accepted:
            self._accepted[key] = LinkEnd(name, self._link(connects=False), allocate)
            self._accepting.admit(key, key)
        return self._accepted[key]

    def dismiss(self, key: str) -> None:
        """Forgets a host that came to us, and lets it in no more: nobody tells it why."""
        end = self._accepted.pop(key, None)
        self._welcomed.pop(raw_key(key, "a key that is dismissed"), None)
        self._refused.discard(key)
        if end is not None and self._accepting is not None:
            self._accepting.dismiss(key)
            end.close()

    def connect(
        self,
        name: str,
        endpoints: Sequence[Endpoint],
        server_key: str,
        allocate: Callable[[int], Buffer] = bytearray,
        keys: CurveKeys | None = None,
    ) -> LinkEnd:
        """The link to a host that we go to, which knows us by these keys, or by our own."""
        end = LinkEnd(name, self._link(connects=True), allocate)
        self._dialed.append(Dialed(end, endpoints, CurveClient(server_key, keys or self._keys)))
        return end

    def _link(self, *, connects: bool) -> Link:
        return Link(
            secrets.randbits(63) + 1,  # a host that was dismissed and comes again has another link
            connects=connects,
            now_s=boot_time_s(),
            patience=self._patience,
            window_bytes=self._window_bytes,
        )

    @property
    def _ends(self) -> list[LinkEnd]:
        return [*self._accepted.values(), *(dialed.end for dialed in self._dialed)]

    def serve(self, timeout_s: float, also: Sequence[int] = ()) -> list[int]:
        """Does what is to be done, some of it at a time; waits for it for so long.

        Args:
            also: descriptors to wait for, too.

        Returns:
            Those of them that are ready.
        """
        now_s = boot_time_s()  # what was given to them since goes now; what is due may be to dial
        self._has_more |= any([e.serve(now_s) for e in self._ends if now_s < e.due_s])
        poller = zmq.Poller()
        watched = [] if self._accepting is None else [self._accepting.socket]
        watched += [socket for dialed in self._dialed for socket in dialed.sockets]
        for one in [*watched, *also]:
            poller.register(one, zmq.POLLIN)
        due_s = min((end.due_s for end in self._ends), default=float("inf"))
        left_s = 0.0 if self._has_more else min(timeout_s, due_s - boot_time_s())
        ready = {one for one, _ in poller.poll(max(0, int(left_s * 1000 + 0.999)))}
        now_s = boot_time_s()
        self._has_more = self._accept(now_s)
        for dialed in self._dialed:
            self._has_more |= dialed.receive(now_s)
        self._has_more |= any([end.serve(now_s) for end in self._ends])
        for dialed in self._dialed:
            dialed.dial(self._context, self._patience, now_s)
        self._dialed = [dialed for dialed in self._dialed if not dialed.is_over]
        return [fd for fd in also if fd in ready]

    def _accept(self, now_s: float) -> bool:
        """Takes in some of what has come to us; whether there may be more."""
        for _ in range(TURN if self._accepting is not None else 0):
            assert self._accepting is not None
            came = self._accepting.receive()
            if came is None:
                return False
            if came.user == GUEST:
                self._answer(came)
            elif (end := self._accepted.get(came.user)) is not None:
                self._take(end, came, now_s)
        return self._accepting is not None

    def _answer(self, came: Came) -> None:
        """A guest has said something, which can only be that it wants to join."""
        assert self._accepting is not None
        asked = read_request(came.frames)
        answer = asked if isinstance(asked, Refused) else self._decide(asked)
        self._accepting.send(came.connection, write_answer(answer))

    def _decide(self, request: JoinRequest) -> Answer:
        if self._on_join is None:
            return Refused("nobody can join")
        if request.key == self._guest_key:  # on the list as a host, it would lock out all guests
            return Refused("this is the key that all guests have: a host makes one of its own")
        if request.key in self._welcomed:
            about, answer = self._welcomed[request.key]
            if about == request.about:
                return answer
            return Refused("a host has joined by this key, and it was another: make a new one")
        answer = self._on_join(request)
        if isinstance(answer, Welcome):
            self._welcomed[request.key] = request.about, answer
        return answer

    def _take(self, end: LinkEnd, came: Came, now_s: float) -> None:
        """A message of a host that is on the list, by whichever connection."""
        assert self._accepting is not None
        connection = end.connection
        if isinstance(connection, AcceptedConnection) and connection.connection == came.connection:
            end.arrived(came.frames, now_s)
            return
        try:
            frame, attempt = link_wire.read(came.frames)
        except WireFormatError as error:
            if came.user not in self._refused:
                self._refused.add(came.user)
                said = "what came by a new connection of %s is refused (this is said once): %s"
                logger.warning(said, end.name, error)
            return
        if isinstance(frame, Farewell) and frame.why:  # (of the guard of a host that was killed)
            return end.arrived(came.frames, now_s)
        # (What is left of an old connection may be read after the beginning of a new one.)
        if isinstance(frame, Resume) and attempt > end.attempts:
            end.opened(AcceptedConnection(self._accepting, came.connection, attempt), now_s)
            end.arrived(came.frames, now_s)

    def close(self) -> None:
        """Ends all connections; links that are not over are lost, for the other ends, with time."""
        for end in self._ends:
            end.close()
        for dialed in self._dialed:
            dialed.close()
        if self._accepting is not None:
            self._accepting.close(CLOSE_S if any(e.is_over for e in self._accepted.values()) else 0)
        self._context.term()
