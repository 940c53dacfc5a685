"""A link to another agent, and which way messages for it go while that is the last one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from minipipe.agent.paired import Kind, Paired, write_paired
from minipipe.agent.relay import Parcel, opened
from minipipe.agent.words import DATA
from minipipe.errors import WireFormatError
from minipipe.process.describe import in_a_line
from minipipe.protocol.delivery.membership import SUPERVISOR
from minipipe.protocol.flow.bypass import Incoming, Outgoing
from minipipe.protocol.flow.stopwatch import Stopwatch
from minipipe.stream import wire
from minipipe.stream.foreign import ByLink, check_read
from minipipe.transport import Buffer
from minipipe.transport.hosts.link_end import Arrived, LinkEnd

TURN = 64  # messages of one of them, then others have theirs

Relayed = Callable[[list[Buffer]], object]


class Peer:
    """One such link.

    Attributes:
        outgoing: which way what is sent to it goes.
        sent_bytes: by the link.

    Args:
        here: the name of this host.
        link: the number of the link of the two.
        serial: that of the other agent in the run.
        end: of the link of the two.
        came_by: that link, for what is looked at.
        relayed: sends by the gateway, behind all items that have gone that way.
        patience_s: so long what a worker says waits for the news that it runs there.
    """

    def __init__(
        self,
        here: str,
        link: int,
        serial: int,
        end: LinkEnd,
        came_by: ByLink,
        relayed: Relayed,
        patience_s: float,
    ) -> None:
        self.link, self.serial, self._here = link, serial, here
        self.outgoing, self._incoming = Outgoing[Sequence[Buffer]](), Incoming()
        self.sent_bytes = 0
        self._end, self._came_by = end, came_by
        self._relayed, self._patience_s = relayed, patience_s
        self._held: Arrived | None = None  # it is not known yet whether its worker runs there
        self._held_s = 0.0
        self._under_way = Stopwatch()

    # ------------------------------------------------------------------ what is sent
    def send(self, frames: Sequence[Buffer]) -> None:
        """Sends items by the link."""
        self.outgoing.add(frames)
        self.sent_bytes += sum(memoryview(frame).nbytes for frame in frames)
        self._pump()

    @property
    def can_give(self) -> bool:
        """Whether something could go at once."""
        return self.outgoing.waits and self._end.has_room

    @property
    def under_way_s(self) -> float:
        """For how long there were items on the link that were not acknowledged yet."""
        return self._under_way.total_s(time.monotonic())

    @property
    def holds(self) -> bool:
        """Whether something that has come waits for news."""
        return self._held is not None

    def _pump(self) -> None:
        outgoing, end = self.outgoing, self._end
        while outgoing.waits and end.has_room:
            end.send(outgoing.give())
        outgoing.released(end.released)
        self._under_way.look(outgoing.owes, time.monotonic())

    # ---------------------------------------------------------------- what has come
    def serve(
        self, runs: Mapping[int, int], deliver: Callable[[Parcel], object]
    ) -> tuple[bool, str]:
        """Takes in some of what has come, and sends what there is room for.

        Args:
            runs: the agents of workers, by their serials.
            deliver: hands items over to workers here.

        Returns:
            Whether there may be more; and why the link is lost, if it is since last asked.
        """
        end = self._end
        if end.has_met and not end.is_over and self.outgoing.link_is_up():
            self._relayed(write_paired(Kind.SWITCHED, self.link, 0))
        more = False
        if self._incoming.is_open:
            more = self._take(runs, deliver)
        self._pump()
        why = ""
        while (event := end.event()) is not None:
            why = getattr(event, "why", why)
        if end.is_over:
            self._fall_back()
        return more, why

    def _take(self, runs: Mapping[int, int], deliver: Callable[[Parcel], object]) -> bool:
        for _ in range(TURN):
            arrived = None if self._end.is_over else self._held or self._end.receive()
            if arrived is None:
                return False
            try:
                parcel = self._looked_at(arrived.frames, runs)
            except Exception as error:  # whatever it says, this host goes on
                why = str(error) if isinstance(error, WireFormatError) else in_a_line(error)
                self._end.give_up(f"what came by it is refused: {why}")
                return False
            if parcel is None:
                now_s = time.monotonic()
                if self._held is None:
                    self._held, self._held_s = arrived, now_s
                elif now_s - self._held_s >= self._patience_s:
                    self._end.give_up("it speaks for a worker that nobody has told of")
                return False
            self._held = None
            self._incoming.take()
            deliver(parcel)
            self._end.handed_over(arrived.number)
        return True

    def _looked_at(self, frames: Sequence[Buffer], runs: Mapping[int, int]) -> Parcel | None:
        """What has come; None: it is not known yet whether it may.

        Raises:
            WireFormatError: it may not.
        """
        if not frames or bytes(frames[0][:1]) != DATA:
            raise WireFormatError("it is no message of items")
        parcel = opened(frames)
        if parcel.host != self._here or SUPERVISOR in parcel.workers:
            raise WireFormatError("it is not for the workers here")
        read = wire.read(parcel.message, self._came_by)
        serial = runs.get(read.sender)
        if serial is None and read.sender != SUPERVISOR:
            return None
        own = [read.sender] if serial == self.serial else []
        check_read(read, parcel.message[0], parcel.workers, own)
        return parcel

    def _fall_back(self) -> None:
        """The link is lost: what it had goes by the gateway."""
        lost = self.outgoing.link_is_lost()
        if lost is not None:
            while self._end.receive() is not None:
                pass  # it was not taken, so it comes again
            number, left = lost
            self._relayed(write_paired(Kind.FELL_BACK, self.link, number))
            for at, items in enumerate(left):
                self._relayed(write_paired(Kind.AGAIN, self.link, number + at, items))
            self._under_way.look(False, time.monotonic())

    # ----------------------------------------------------------- what the gateway says
    def said(self, paired: Paired, deliver: Callable[[Parcel], object]) -> None:
        """It has said this by the gateway.

        It may be gone by now: what it had said before still comes whole, up to some point.

        Raises:
            WireFormatError: it cannot be.
        """
        kind, _, number, items = paired
        if kind == Kind.SWITCHED:
            self._incoming.switched()
        elif kind == Kind.FELL_BACK:
            self._held = None
            self._end.give_up("the other one has lost it")
            self._incoming.fell_back(number)
        elif self._incoming.again(number):
            deliver(opened(items))

    def part(self) -> None:
        """It is gone: what is under way to it, or from it by the link, is nobody's any more."""
        self._end.give_up("that host is gone")
        self.outgoing.link_is_lost()
        self._under_way.look(False, time.monotonic())
