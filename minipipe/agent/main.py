"""`minipipe agent --join TOKEN`: this machine takes part in a run, until that is over."""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import ExitStack
from dataclasses import replace

from minipipe.agent.agent import Agent
from minipipe.agent.guard import Guard
from minipipe.agent.welcoming import Told, read_told
from minipipe.process.logs import set_level
from minipipe.process.versions import versions
from minipipe.protocol.flow.patience import Patience
from minipipe.protocol.hosts.names import LOCAL
from minipipe.protocol.hosts.offer import Offer, write_offer
from minipipe.protocol.hosts.token import Token
from minipipe.stream.lifting import Lifting
from minipipe.supervisor.rundir import RunDirectory
from minipipe.transport.curve import NO_KEY, CurveKeys
from minipipe.transport.hosts.host_sockets import HostSockets
from minipipe.transport.hosts.join import Joined, join
from minipipe.transport.hosts.listening import check_port, listen

logger = logging.getLogger("minipipe")


def serve(token: Token, offer: Offer, port: int | None = 0) -> int:
    """Joins the run of this token, and runs workers for it.

    Args:
        offer: what this machine has for it.
        port: that other agents come to; 0: any that is free; None: nobody comes.

    Returns:
        The exit code: 0: the run has ended, or this machine was told to leave; 1: the run was
        lost, or there is no room here for its code.

    Raises:
        JoinError: the run cannot be reached, or has refused.
        StartError: there is no place for its directory.
        UsageError: the port is taken.
    """
    set_level(None)
    if port is not None:
        check_port(port, token.endpoints[0].source)
    keys = CurveKeys.new()
    offer = replace(offer, facts={**offer.facts, **versions().to_facts()})
    joined = join(token, keys, write_offer(offer))
    told = read_told(joined.about, ", ".join(one.address for one in joined.endpoints))
    with ExitStack() as last:
        directory = RunDirectory()
        last.callback(directory.remove)
        guard = Guard(
            joined.endpoints, joined.server_key, (keys.public, keys.secret), directory.path
        )
        last.push(lambda kind, *_: guard.close(has_failed=kind is not None))
        agent = _agent(joined, told, keys, directory.path, port)
        _at_signals(agent)
        _say(f"host {told.name!r} has joined run {told.run!r}, with {offer.slots} slots")
        agent.serve()
    if agent.why:
        _say(f"run {told.run!r} is lost: {agent.why}")
        return 1
    _say(f"host {told.name!r} has left run {told.run!r}: {agent.left or 'that is over'}")
    return 1 if agent.broken else 0


def _agent(joined: Joined, told: Told, keys: CurveKeys, directory: str, port: int | None) -> Agent:
    patience, is_plain = Patience(lost_after_s=told.lost_after_s), joined.server_key == NO_KEY
    sockets = HostSockets(f"host {told.name!r}", keys, patience=patience, is_plain=is_plain)
    listening = None
    if port is not None:
        listening = listen(sockets, joined.endpoints[0], port, is_plain=is_plain)
    lifting = Lifting()
    end = sockets.connect(LOCAL, joined.endpoints, joined.server_key, lifting.allocate)
    wake, wake_write = os.pipe()
    pipe = (wake, wake_write)
    about = (told.name, sockets, end, lifting, directory, pipe)
    return Agent(*about, listening, told.lost_after_s)


def _at_signals(agent: Agent) -> None:
    """SIGTERM, SIGHUP and Ctrl-C have it leave: the first in good order, the next at once."""

    def on_signal(number: int, frame: object) -> None:
        agent.leave(signal.Signals(number).name)

    signal.set_wakeup_fd(agent.wake[1], warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)


def _say(text: str) -> None:
    sys.stderr.write(f"minipipe: {text}\n")
    sys.stderr.flush()
