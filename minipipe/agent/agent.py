"""An agent: it runs workers of a run whose supervisor is on another machine.

It has the same zygotes as a supervisor, in a private directory of its own, and forwards what they
and their workers say.  When the run is over, or out of reach for too long, it ends all of them.
"""

from __future__ import annotations

import logging
import os
import pickle
import time
from collections.abc import Sequence
from typing import Any

from minipipe.agent.hosted import Hosted
from minipipe.agent.leaving import Leaving
from minipipe.agent.orders import tell_worker
from minipipe.agent.paired import PAIRED
from minipipe.agent.peers import Peers
from minipipe.agent.relay import Relay, opened
from minipipe.agent.starting import Code, Zygotes, launch
from minipipe.agent.way import Way
from minipipe.agent.words import DATA, Word, said, say
from minipipe.errors import StartError, WireFormatError
from minipipe.process.describe import in_a_line
from minipipe.protocol.delivery.membership import LOCAL_HOST
from minipipe.protocol.flow.link_actions import Ended, GoOn, Hold, Lost, OtherEnded
from minipipe.stream.lifting import Lifting
from minipipe.stream.outbox import names_of
from minipipe.supervisor.hosts.base import Exited, Refused, Report, Started, ZygoteLost
from minipipe.supervisor.hosts.gateway_words import Package
from minipipe.transport import open_transport
from minipipe.transport.hosts.host_sockets import HostSockets
from minipipe.transport.hosts.link_end import LinkEnd
from minipipe.transport.hosts.listening import Listening

logger = logging.getLogger("minipipe")

TURN = 64
VITALS_S = 0.2  # the vital signs of workers are sent this often, as far as they have changed
WAIT_S = 1.0
AGAIN_S = 0.01  # a worker that has not taken all of its orders is tried again this often
END_S = 2.0  # at the end, the other side gets so long to hear of it


class Agent:
    """All that it does, in one thread.

    Attributes:
        why: it has lost the run; how.
        left: it has left before the end; why.
        broken: it could not do its part; why.
        wake: what signals write to.

    Args:
        name: of this host in the run.
        sockets: to other hosts.
        end: of the link to the run.
        lifting: that gives it the memory for what comes.
        directory: its own, private.
        wake: both ends of a pipe that signals are to write to.
        listening: where other agents come to; None: nowhere.
        lost_after_s: how long another host may be silent.
    """

    def __init__(
        self,
        name: str,
        sockets: HostSockets,
        end: LinkEnd,
        lifting: Lifting,
        directory: str,
        wake: tuple[int, int],
        listening: Listening | None,
        lost_after_s: float,
    ) -> None:
        self.name, self.wake = name, wake
        self.why = self.left = self.broken = ""
        for one in wake:
            os.set_blocking(one, False)
        self._sockets, self._directory = sockets, directory
        self._transport = open_transport(f"ipc://{directory}")
        self._relay = Relay(name, directory, self._transport, lifting=lifting)
        self._way = self._relay.ways[LOCAL_HOST] = Way(end)
        self._peers = Peers(sockets, self._relay, listening, lost_after_s)
        self._zygotes, self._code = Zygotes(directory), Code(name, directory)
        self._hosted: dict[int, Hosted] = {}
        # With what it has counted a report is compared there: how many of its items have failed.
        self._relay.before_report = self._show_of
        self._shown_s = 0.0
        self._is_over = self._has_more = False
        self._leaving = Leaving()

    def leave(self, why: str) -> None:
        """It wants to go, in the middle of the run: as soon as its workers go on elsewhere.

        If that was said before, it goes at once: what its workers have is done again by others.
        """
        if self._leaving.wish(why, time.monotonic()):
            self.left = self.left or why

    def serve(self) -> None:
        """Until the run is over, or it leaves."""
        try:
            while not self._is_over and not self.left:
                self._turn()
        finally:
            self._zygotes.close()  # its workers end with them
            self._end()

    def _end(self) -> None:
        end = self._way.end
        if self.left and not end.is_over:
            level = logging.WARNING if self.broken else logging.INFO
            self._say(Word.NOTE, level, f"it leaves: {self.left}")
        end.end()
        until_s = time.monotonic() + END_S
        while not end.is_over and time.monotonic() < until_s:
            self._sockets.serve(0.05)
            while (arrived := end.receive()) is not None:
                end.handed_over(arrived.number)
            self._way.pump()
        for hosted in self._hosted.values():
            hosted.close()
        self._hosted.clear()
        self._sockets.serve(0.0)
        self._relay.close()
        self._sockets.close()

    def _turn(self) -> None:
        """One round: orders and deaths first, then some of the items."""
        pipes = [fd for hosted in self._hosted.values() for fd in hosted.filenos()]
        zygotes = self._zygotes.filenos()
        also: list[Any] = [self._relay.socket, self.wake[0], *zygotes, *pipes]
        ready = self._sockets.serve(self._timeout_s(), also)
        if self.wake[0] in ready:
            os.read(self.wake[0], 4096)
        self._receive()
        readable = frozenset(ready)
        for report in self._zygotes.reports(list(readable)):
            self._report(report)
        for hosted in self._hosted.values():
            for message in hosted.printed(readable):
                self._way.say(message)
            if hosted.waits:
                hosted.write()
        self._has_more |= self._relay.serve()
        self._has_more |= self._peers.serve()
        now_s = time.monotonic()
        if now_s - self._shown_s >= VITALS_S:
            self._shown_s = now_s
            for hosted in self._hosted.values():
                self._show(hosted)
        if self._leaving.why:
            self._leave_in_order(now_s)
        if (use := self._way.use(now_s, self._peers)) is not None:
            self._say(Word.LINK, *use)
        self._way.pump()
        if not self._hosted:
            self._way.has_no_workers()

    def _leave_in_order(self, now_s: float) -> None:
        """Says that it wants to go; goes when nobody is here, and nobody comes any more."""
        leaving, workers = self._leaving, len(self._hosted)
        if leaving.asks(workers):
            self._say(Word.LEAVING, leaving.why)
        is_connected = self._way.end.connection is not None
        stays = workers > 0 or self._peers.owes
        if leaving.is_due(now_s, stays=stays, is_connected=is_connected):
            self.left = self.left or leaving.why

    def _timeout_s(self) -> float:
        if self._has_more or (self._way.waits and self._way.end.has_room):
            return 0.0
        times = [WAIT_S, self._zygotes.look_every_s, self._peers.timeout_s()]
        if self._hosted:
            times.append(max(0.0, self._shown_s + VITALS_S - time.monotonic()))
        if any(hosted.waits for hosted in self._hosted.values()):
            times.append(AGAIN_S)
        return min(time_s for time_s in times if time_s is not None)

    # ------------------------------------------------------------- what comes by the link
    def _receive(self) -> None:
        end, self._has_more = self._way.end, True
        for _ in range(TURN):
            arrived = end.receive()
            if arrived is None:
                self._has_more = False
                break
            try:
                mark = bytes(arrived.frames[0][:1])
                if mark == DATA:
                    self._relay.arrived(opened(arrived.frames))
                elif mark == PAIRED:
                    self._peers.said(arrived.frames)
                else:
                    self._told(*said(arrived.frames[0]), arrived.frames[1:])
            except WireFormatError as error:
                logger.warning("%s", in_a_line(error))
            end.handed_over(arrived.number)
        while (event := end.event()) is not None:
            if isinstance(event, Lost):
                self._is_over, self.why = True, event.why
            elif isinstance(event, OtherEnded | Ended):
                self._is_over = True
            elif isinstance(event, Hold):
                logger.warning("the run is out of reach: nobody begins anything until it is there")
                self._zygotes.halt(self._hosted)
            elif isinstance(event, GoOn):
                self._zygotes.resume(self._hosted)

    def _told(self, word: Word, fields: tuple[Any, ...], frames: Sequence[memoryview]) -> None:
        match word:
            case Word.CALL_OFF:
                self._zygotes.call_off()
            case Word.FORGET:
                self._relay.forget(fields[0])
            case Word.MAY_LEAVE:
                self._leaving.may = True
            case Word.PEER | Word.PARTED | Word.RUNS:
                self._peers.told(word, fields)
            case Word.SHIPMENT:
                self._unpack(frames)
            case Word.START:
                self._start(fields[0], frames[0])
            case _ if fields and (hosted := self._hosted.get(fields[0])) is not None:
                tell_worker(hosted, self._zygotes, word, fields, frames)
            case _:
                pass  # its end is on its way

    def _unpack(self, frames: Sequence[memoryview]) -> None:
        """The user's code has come.  Without it this machine is of no use, and leaves."""
        try:
            self._code.receive(*frames)
        except (StartError, WireFormatError) as error:
            self.broken = self.left = in_a_line(error)

    def _start(self, worker: int, payload: memoryview) -> None:
        package: Package = pickle.loads(payload)
        self._way.end.wait_longer(package.lost_after_s)
        try:
            self._hosted[worker] = launch(self._code.here(package), self._zygotes)
        except (StartError, OSError) as error:
            reason = getattr(error, "errno", None) or 0
            self._say(Word.REFUSED, worker, reason, in_a_line(error))

    # ------------------------------------------------------------- what happens here
    def _say(self, word: Word, *fields: Any) -> None:
        self._way.say(say(word, *fields))

    def _report(self, report: Report) -> None:
        if isinstance(report, Started):
            self._say(Word.STARTED, report.worker, report.pid)
        elif isinstance(report, Refused):
            self._over(report.worker)
            self._say(Word.REFUSED, report.worker, report.reason, "")
        elif isinstance(report, Exited):
            self._over(report.worker)
            last = report.last
            self._say(Word.EXITED, report.worker, report.status, last.condemned, last.stack)
        elif isinstance(report, ZygoteLost):
            for worker in report.workers:
                self._over(worker)
            about = (report.never_ready, report.code, report.why)
            self._say(Word.ZYGOTE_LOST, tuple(report.workers), *about)

    def _over(self, worker: int) -> None:
        """Its process is gone: all that is known of it is sent, then it is forgotten."""
        hosted = self._hosted.pop(worker, None)
        if hosted is None:
            return
        for message in hosted.last_words():
            self._way.say(message)
        self._show(hosted)
        for message in hosted.spans():
            self._way.say(message)
        self._relay.forget([worker])
        for name in names_of(worker, hosted.spec.wiring.outlets):
            self._transport.remove(name)
        hosted.close()

    def _show_of(self, worker: int) -> None:
        hosted = self._hosted.get(worker)
        if hosted is not None:
            self._show(hosted)

    def _show(self, hosted: Hosted) -> None:
        message = hosted.vitals()
        if message is not None:
            self._way.say(message)
