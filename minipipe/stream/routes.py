"""Routes: what says to whom on another host a message is, for the gateways in between.

    message to a gateway = [route, head, frame, ...]       route = msgpack of [host, [worker, ...]]

What follows the route is a message as any (`stream.wire`); the gateway of that host hands it to the
inbox of each of these workers, so that what is for several of them crosses once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgpack

from minipipe.errors import WireFormatError
from minipipe.errors.cause import because
from minipipe.transport import Buffer

_unpack: Final = msgpack.unpackb


def write_route(host: str, idents: Sequence[int]) -> bytes:
    """The route to these workers of that host; the supervisor, worker 0, is on `LOCAL_HOST`."""
    route: bytes = msgpack.packb((host, tuple(idents)))
    return route


def read_route(buffer: Buffer) -> tuple[str, tuple[int, ...]]:
    """The host, and its workers that the message is for: at least one, none of them twice.

    Raises:
        WireFormatError: it is no route.
    """
    try:
        route: Any = _unpack(buffer, use_list=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        unreadable = WireFormatError(f"a message for another host without a route: {error}")
        raise because(unreadable, error) from error
    if type(route) is not tuple or len(route) != 2:
        raise _no_route(route)
    host, idents = route
    if type(host) is not str or not host or type(idents) is not tuple or not idents:
        raise _no_route(route)
    if any(type(ident) is not int or ident < 0 for ident in idents):
        raise _no_route(route)
    if len(set(idents)) != len(idents):
        raise _no_route(route)
    return host, idents


def _no_route(came: Any) -> WireFormatError:
    return WireFormatError(
        f"a message for another host came with the route {came!r:.80}, and a host and the ids of "
        "workers there, each once, were expected"
    )
