"""Telling a run that a host of it is gone, by the key of that host."""

from __future__ import annotations

import time
from collections.abc import Sequence

import zmq

from minipipe.protocol.flow.link_frames import Farewell
from minipipe.protocol.hosts import link_wire
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.transport.curve import CurveClient, CurveKeys
from minipipe.transport.hosts.dialing import Dial

_LINGER_S = 2.0


def send_obituary(
    endpoints: Sequence[Endpoint],
    server_key: str,
    keys: tuple[str, str],
    why: str,
    timeout_s: float,
) -> bool:
    """Says that the host with these keys is gone; False: nobody could be told.

    Args:
        endpoints: of the run.
        server_key: the public key of the run.
        keys: public and secret one of the host.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    dial = Dial(context, endpoints, CurveClient(server_key, CurveKeys(*keys)))
    until_s = time.monotonic() + timeout_s
    try:
        while not dial.is_ready and not dial.has_ended and time.monotonic() < until_s:
            poller = zmq.Poller()
            for socket in dial.sockets:
                poller.register(socket, zmq.POLLIN)
            poller.poll(100)
            dial.look()
        return dial.is_ready and dial.send(link_wire.write(Farewell(why, heard=False), 1))
    finally:
        dial.close(_LINGER_S)
        context.term()
