"""One end of a link between two hosts: what `protocol/flow/link.py` decides, done."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from minipipe.errors import WireFormatError
from minipipe.protocol.flow.link import Link
from minipipe.protocol.flow.link_actions import (
    Action,
    Again,
    Connect,
    Deliver,
    Disconnect,
    Ended,
    GoOn,
    Hold,
    Lost,
    OtherEnded,
    Release,
)
from minipipe.protocol.flow.link_frames import Frame, Message
from minipipe.protocol.hosts import link_wire
from minipipe.protocol.hosts.pace import Pace
from minipipe.protocol.hosts.pieces import Assembler, Buffer, HandOver, Piece, cut, recut
from minipipe.transport.hosts.sockets import boot_time_s

logger = logging.getLogger("minipipe")

TURN = 64  # so many frames, then others have theirs
PIECES_IN_WINDOW = 16  # at least, so that it does not run empty
# For the last frame, which says why nothing more is said.  A connection that is closed while the
# other end still sends is reset, and what was said last is lost with it.
FAREWELL_S = 1.0

LinkEvent = Hold | GoOn | OtherEnded | Ended | Lost


class Connection(Protocol):
    """What a connection is to the end of a link.

    Attributes:
        attempt: its number, greater than that of the one before it.
    """

    attempt: int

    def send(self, frames: Sequence[Buffer]) -> bool:
        """Puts a message into it; False: it is gone."""

    def close(self, linger_s: float = 0.0) -> None:
        """Ends it, with all that waits in it after that time."""


class Arrived(NamedTuple):
    """A message that has come.

    Attributes:
        number: for `LinkEnd.handed_over`.
    """

    number: int
    frames: list[memoryview]


class LinkEnd:
    """One end, in the one thread that serves it (`HostSockets.serve`).

    Attributes:
        released: so many of the messages that were sent are handed over at the other end; what
            they were made of may be used again.

    Args:
        name: of the other host.
        allocate: makes the place for a large frame, from its size: memory that can be written.
    """

    def __init__(
        self, name: str, link: Link, allocate: Callable[[int], Buffer] = bytearray
    ) -> None:
        self.name = name
        self.released = 0
        self.connection: Connection | None = None
        self.attempts = 0  # the number of the last connection
        self.dialing = 0  # that of the one which is to be made; 0: none is
        self._link = link
        self._leaves_s: float | None = None  # when the last connection is closed
        self._cutting: Iterator[Piece] | None = None  # what is left of the last message
        self._is_ending = False
        self._pace = Pace(link.window_bytes // PIECES_IN_WINDOW)
        self._sent = 0
        self._assembler, self._hand_over = Assembler(allocate), HandOver()
        self._arrived: deque[Arrived] = deque()
        self._events: deque[LinkEvent] = deque()

    # --------------------------------------------------------------- for its user
    @property
    def has_room(self) -> bool:
        """Whether it takes another message."""
        return self._cutting is None and not self._is_ending and self._link.has_room

    @property
    def has_met(self) -> bool:
        """Whether the other host was ever heard."""
        return self._link.has_met

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or not; the last event says which."""
        return self._link.is_over

    def send(self, frames: Sequence[Buffer]) -> int:
        """Takes a message, if it has room.  Its memory has to stay as it is until its release.

        Returns:
            Its number, from 1 on: it is released once `released` is as much.
        """
        if not self.has_room:
            raise ValueError(f"the link to {self.name} has no room now (has_room)")
        self._cutting = cut(frames, lambda: self._pace.piece_bytes)
        self._sent += 1
        self._feed()
        return self._sent

    def receive(self) -> Arrived | None:
        """The next message; None if there is none now."""
        return self._arrived.popleft() if self._arrived else None

    def handed_over(self, number: int) -> None:
        """This message and all before it are with those whom they are for."""
        self._hand_over.handed_over(number)
        self._link.handed_over(self._hand_over.up_to, boot_time_s())

    def event(self) -> LinkEvent | None:
        """What has happened to it next; None if nothing has."""
        return self._events.popleft() if self._events else None

    def end(self) -> None:
        """Nothing more will be sent.  Once all has arrived, and the same is said there, it ends."""
        self._is_ending = True
        self._feed()

    def give_up(self, why: str) -> None:
        """The other host is lost, whatever else may come; it is told so, and why."""
        self._act(self._link.give_up(why), boot_time_s())

    def wait_longer(self, lost_after_s: float) -> None:
        """From now on the other host is lost only after such a silence."""
        self._link.wait_longer(lost_after_s)

    def wait_as_at_first(self) -> None:
        """The other host is not waited for any longer than at the beginning, if it has all."""
        if self._cutting is None:
            self._link.wait_as_at_first()

    # ------------------------------------------------------------ for the sockets
    @property
    def due_s(self) -> float:
        """When it is to be served, if nothing comes before."""
        return self._link.due_s if self._leaves_s is None else self._leaves_s

    def opened(self, connection: Connection, now_s: float) -> None:
        """There is a new connection, which takes the place of the one before."""
        if self.connection is not None:
            self.broke(now_s)
        self.connection, self.attempts, self.dialing = connection, connection.attempt, 0
        self._pace.broke()
        self._link.opened(now_s)

    def broke(self, now_s: float) -> None:
        """The connection has ended, or an attempt has come to nothing."""
        self._drop(FAREWELL_S if self.is_over else 0.0)
        self._link.broke(now_s)

    def arrived(self, frames: Sequence[Buffer], now_s: float) -> None:
        """A message came by its connection."""
        try:
            self._act(self._link.arrived(link_wire.read(frames)[0], now_s), now_s)
        except WireFormatError as error:  # it is on the list, and speaks another language
            self._act(self._link.give_up(f"what came is none of a link: {error}"), now_s)
        except MemoryError:  # its number is taken, so it cannot be asked for again
            self._act(self._link.give_up("there is no memory for a frame that came"), now_s)

    def serve(self, now_s: float) -> bool:
        """Says what it has to say; whether there is more of it."""
        if now_s >= self._link.due_s:
            self._act(self._link.passed(now_s), now_s)
        for _ in range(TURN):
            self._feed()
            frame = None if self.connection is None else self._link.next_frame(now_s)
            if frame is None:
                break
            if not self._put(frame, now_s):
                logger.info("the link to %s makes a new connection: it has ended", self.name)
                self.broke(now_s)
        else:
            return True
        if self.is_over and self.connection is not None:
            if self._leaves_s is None:
                self._leaves_s = now_s + FAREWELL_S
            elif now_s >= self._leaves_s:
                self._drop(FAREWELL_S)
        return False

    def close(self) -> None:
        """Ends its connection."""
        self._drop(FAREWELL_S if self.is_over else 0.0)

    def _put(self, frame: Frame, now_s: float) -> bool:
        assert self.connection is not None
        if isinstance(frame, Message):
            self._pace.sent(now_s)
        return self.connection.send(link_wire.write(frame, self.connection.attempt))

    def _feed(self) -> None:
        """Gives pieces of the message that was sent last to the link, as far as that has room."""
        while self._cutting is not None and self._link.has_room:
            piece = next(self._cutting)
            self._link.send(piece, piece.size_bytes)
            if piece.ends_message:
                self._cutting = None
        if self._is_ending and self._cutting is None:
            self._link.end()

    def _drop(self, linger_s: float) -> None:
        self.dialing, self._leaves_s = 0, None
        if self.connection is not None:
            self.connection.close(linger_s)
            self.connection = None

    def _act(self, actions: list[Action], now_s: float) -> None:
        for action in actions:
            if isinstance(action, Deliver):
                self._deliver(action, now_s)
            elif isinstance(action, Release):
                self._release(action, now_s)
            elif isinstance(action, Again):
                self._link.recut(self._recut)
            elif isinstance(action, Connect):
                self.attempts += 1
                self.dialing = self.attempts
            elif isinstance(action, Disconnect):
                logger.info("the link to %s makes a new connection: %s", self.name, action.why)
                self._drop(0.0)
            else:
                self._events.append(action)

    def _deliver(self, action: Deliver, now_s: float) -> None:
        assert isinstance(action.body, Piece)
        frames = self._assembler.add(action.body)
        self._hand_over.arrived(action.number, ends_message=frames is not None)
        if frames is None:
            self._link.handed_over(self._hand_over.up_to, now_s)
        else:
            self._arrived.append(Arrived(action.number, frames))

    def _release(self, action: Release, now_s: float) -> None:
        size_bytes = 0
        for message in action.messages:
            assert isinstance(message.body, Piece)
            size_bytes += message.size_bytes
            self.released += message.body.ends_message
        self._pace.acknowledged(size_bytes, now_s, is_all=not self._link.kept_bytes)

    def _recut(self, piece: object) -> list[tuple[Piece, int]]:
        assert isinstance(piece, Piece)
        return [(one, one.size_bytes) for one in recut(piece, self._pace.piece_bytes)]
