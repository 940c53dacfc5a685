"""The gateway of a run: a process beside its supervisor, where all links to agents end.

It is apart from the supervisor, which may be busy for long (`torch.load`, a debugger) without being
dead.  That one's end is the end of its socket to here.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
import traceback
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from minipipe.agent.guest import Guest
from minipipe.agent.guests import Guests
from minipipe.agent.proxy import Proxy
from minipipe.agent.relay import Relay
from minipipe.agent.words import Word, say
from minipipe.agent.writing import Writing
from minipipe.errors import MiniPipeError
from minipipe.process.logs import set_level
from minipipe.protocol.delivery.membership import LOCAL_HOST
from minipipe.protocol.flow.patience import Patience
from minipipe.supervisor.hosts.gateway_words import (
    DESCRIPTORS,
    Ask,
    Hearing,
    Package,
    Setup,
    Tell,
    packed,
)
from minipipe.transport import open_transport
from minipipe.transport.curve import CurveKeys
from minipipe.transport.hosts.host_sockets import HostSockets
from minipipe.worker.child import call_itself, die_with_parent
from minipipe.worker.signals import PARENT_ENDED, take_no_notice

logger = logging.getLogger("minipipe")

END_S = 1.5  # at the end, agents get so long to hear of it
WAIT_S = 1.0
_KILLED = "the program of the run was killed"
AGAIN_S = 0.01  # a pipe without room is tried again this often


class Gateway:
    """All that it does, in one thread.

    Args:
        control: its end of the socket pair.
        setup: what the supervisor has said first.

    Raises:
        MiniPipeError: its port cannot be bound.
    """

    def __init__(self, control: socket.socket, hearing: Hearing, setup: Setup) -> None:
        self._control, self._hearing = control, hearing
        self._telling = Writing(os.dup(control.fileno()))
        self._proxies: dict[int, Proxy] = {}
        self._is_ending = self._is_over = self._has_more = False
        base = f"ipc://{setup.directory}"
        self._relay = Relay(LOCAL_HOST, setup.directory, open_transport(base), setup.supervisor)
        self._sockets = HostSockets(
            f"run {setup.name!r}",
            CurveKeys(setup.public, setup.secret),
            patience=Patience(lost_after_s=setup.lost_after_s),
            is_plain=setup.is_plain,
        )
        self._guests = Guests(self._sockets, self._relay, setup.about, setup.trust, self.tell)
        port = self._sockets.listen(setup.bind, setup.guest_key, self._guests.decide)
        self.tell(Tell.READY, port)

    def tell(self, word: Tell, *fields: Any) -> None:
        """Says something to the supervisor, which may be slow to hear it."""
        self._telling.add(packed(word, *fields))

    def end(self) -> None:
        """The run is over; agents are told."""
        self._is_ending = True

    def serve(self) -> None:
        """Until the supervisor's end."""
        while not self._is_ending:
            self._turn()
        self._guests.end("" if self._is_over else _KILLED)
        until_s = time.monotonic() + END_S
        while self._is_owing and time.monotonic() < until_s:
            self._relay.serve()
            self._sockets.serve(0.05, [self._relay.socket])  # type: ignore[list-item]
            self._guests.serve(self._proxies, self._relay.arrived)
            self._hand_on()
        for proxy in self._proxies.values():
            proxy.close()
        self._relay.close()
        self._sockets.close()

    @property
    def _is_owing(self) -> bool:
        """Whether an agent has not heard of the end, or something that was printed waits."""
        return self._guests.are_there or any(p.waits for p in self._proxies.values())

    def _turn(self) -> None:
        """One round: orders and deaths first, then some of the items."""
        controls = {p.control: p for p in self._proxies.values() if p.host and p.control >= 0}
        also: list[Any] = [self._control, self._relay.socket, *controls]
        slow = self._telling.waits or any(p.waits for p in self._proxies.values())
        busy = self._has_more or self._guests.wait
        timeout_s = 0.0 if busy else AGAIN_S if slow else WAIT_S
        ready = set(self._sockets.serve(timeout_s, also))
        for message in self._hearing.messages():
            self._asked(message.word, message.fields)
        self._is_ending |= self._hearing.has_ended
        for fd in ready & controls.keys():
            self._forward_orders(controls[fd])
        self._has_more = self._guests.serve(self._proxies, self._relay.arrived)
        self._has_more |= self._relay.serve()
        self._hand_on()
        if self._telling.waits:
            self._telling.write()

    def _forward_orders(self, proxy: Proxy) -> None:
        guest = self._guests.of(proxy.host)
        for message in proxy.orders():
            if guest is not None:
                guest.way.say(message)

    def _hand_on(self) -> None:
        """What workers have written goes on to the supervisor; their agents may send more."""
        for worker, proxy in list(self._proxies.items()):
            if proxy.waits:
                guest = self._guests.of(proxy.host)
                for message in proxy.write():
                    if guest is not None:
                        guest.way.say(message)
            elif proxy.is_over:
                del self._proxies[worker]
                proxy.close()

    # -------------------------------------------------------- what the supervisor wants
    def _asked(self, word: int, fields: tuple[Any, ...]) -> None:
        match word:
            case Ask.WORKER:
                fds = [self._hearing.fds.popleft() for _ in range(DESCRIPTORS)]
                self._drop(fields)
                self._proxies[fields[0]] = Proxy(fields[0], fds)
            case Ask.PLACE:
                self._place(*fields)
            case Ask.END:
                self._is_over = True
            case Ask.KILL:
                self._say_to_host_of(fields[0], say(Word.KILL, *fields))
            case Ask.CALL_OFF:
                self._guests.say_to_all(say(Word.CALL_OFF))
            case Ask.MAY_LEAVE:
                guest = self._guests.of(fields[0])
                if guest is not None:
                    guest.way.say(say(Word.MAY_LEAVE))
            case Ask.STACK:
                self._say_to_host_of(fields[0], say(Word.ASK_FOR_STACK, *fields))
            case Ask.FORGET:
                self._relay.forget(fields[0])
                self._guests.say_to_all(say(Word.FORGET, fields[0]))
                self._drop(worker for worker in fields[0] if not self._runs(worker))

    def _runs(self, worker: int) -> bool:
        proxy = self._proxies.get(worker)
        return proxy is not None and bool(proxy.host) and not proxy.is_over

    def _drop(self, workers: Iterable[int]) -> None:
        for worker in workers:
            proxy = self._proxies.pop(worker, None)
            if proxy is not None:
                proxy.close()

    def _place(self, worker: int, host: str, package: Package) -> None:
        guest, proxy = self._guests.of(host), self._proxies.get(worker)
        if proxy is None:
            return  # it is over already
        if guest is None:
            # Lost while this was on its way: it is none of those that were told of then, and who
            # waited for it waited for ever.
            proxy.is_over = True
            why = "its machine was lost while it was being sent there"
            self.tell(Tell.ZYGOTE_LOST, host, (worker,), False, None, why)
            return
        proxy.host = host
        self._guests.start(guest, worker, package)

    def _say_to_host_of(self, worker: int, message: Sequence[Any]) -> None:
        proxy = self._proxies.get(worker)
        guest: Guest | None = None if proxy is None else self._guests.of(proxy.host)
        if guest is not None:
            guest.way.say(message)


def main(fd: int) -> NoReturn:
    """Serves the supervisor over the socket `fd` until that is closed."""
    call_itself("minipipe-gate")
    control = socket.socket(fileno=fd)
    take_no_notice()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gateway: Gateway | None = None

    def on_parents_end(number: int, frame: object) -> None:
        if gateway is None:
            os._exit(1)
        gateway.end()

    signal.signal(PARENT_ENDED, on_parents_end)
    die_with_parent(PARENT_ENDED)
    hearing, setup = Hearing(control), None
    while setup is None and not hearing.has_ended:
        for message in hearing.messages():
            setup = message.fields[0]
        time.sleep(0.001)
    code = 1
    try:
        if setup is not None:
            logging.basicConfig(handlers=[], force=True)
            set_level(None)
            try:
                gateway = Gateway(control, hearing, setup)
            except MiniPipeError as error:
                control.setblocking(True)
                control.sendall(packed(Tell.BROKEN, str(error)))
            else:
                gateway.serve()
                code = 0
    except BaseException:  # the supervisor says what that comes to, and not why
        traceback.print_exc()
    finally:
        os._exit(code)
