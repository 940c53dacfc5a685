"""The options that ZmqSource and ZmqSink have in common, checked where they are written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minipipe.errors import OptionError
from minipipe.segments.options import check_choice, check_count, check_flag
from minipipe.transport.addresses import Address, parse_address
from minipipe.transport.curve import CurveClient, CurveServer
from minipipe.transport.program_socket import SocketPlan

MAX_BYTES = 64 << 20
# For each peer, on this side; what a "pub" or "sub" has no place for is dropped.
HWM = {"pull": 16, "push": 16, "sub": 1000, "pub": 1000}
# Over ipc, what a sender has in the kernel when it ends is lost once we have stopped reading at our
# mark (a unix socket whose other end has closed reports a hang-up, at which libzmq gives up;
# measured: 32 to 904 of 1000 small messages arrived).  Over tcp it is read to its end.
IPC_PULL_HWM = 1000
_MOST_HWM, _MOST_BYTES = 2**31 - 1, 2**62 - 1  # libzmq has an int, and 64 bits for twice as much


def plan_socket(
    where: str,
    address: object,
    pattern: object,
    patterns: tuple[str, str],
    *,
    bind: object,
    curve: object,
    security: object,
    hwm: object,
    max_bytes: object,
    topics: tuple[bytes, ...] = (),
) -> SocketPlan:
    """The socket that these options ask for.

    Raises:
        OptionError: one has an impossible value, or anybody could reach it and none says that this
            is meant.
    """
    kind = check_choice(pattern, "pattern", where, patterns)
    binds = check_flag(bind, "bind", where)
    place = parse_address(address, where, bind=binds)
    usual = IPC_PULL_HWM if (kind, place.scheme) == ("pull", "ipc") else HWM[kind]
    mark = usual if hwm is None else check_count(hwm, "hwm", where, 1, _MOST_HWM)
    most = check_count(max_bytes, "max_bytes", where, 1, _MOST_BYTES)
    keys = _check_security(place, curve, security, where)
    return SocketPlan(where, place, kind, binds, mark, most, topics, keys)


def _check_security(
    place: Address, curve: object, security: object, where: str
) -> CurveServer | CurveClient | None:
    if security not in (None, "none"):
        raise OptionError(
            f"security of {where} is None (what leaves this machine needs curve=) or 'none', "
            f"got {security!r}"
        )
    if curve is not None and not isinstance(curve, CurveServer | CurveClient):
        raise OptionError(
            f"curve of {where} is mp.CurveServer(keys, clients), mp.CurveClient(server, keys) or "
            f"None, got a {type(curve).__name__}"
        )
    if curve is not None and security == "none":
        raise OptionError(f"{where} has curve=, and security='none': one of them")
    if curve is None and security is None and not place.is_local:
        raise OptionError(
            f"{where} at {place.text!r} can be reached from outside of this machine: give it keys "
            "(curve=mp.CurveServer(keys, clients), or mp.CurveClient(server, keys)), or say "
            "security='none'"
        )
    return curve


def check_topics(topics: Any, pattern: object, allowed: str, where: str) -> tuple[bytes, ...]:
    """Topics as bytes.

    Raises:
        OptionError: they are none, or the pattern knows no topics.
    """
    if topics is None:
        return ()
    one = isinstance(topics, str | bytes)
    if not one and not isinstance(topics, Iterable):
        raise OptionError(f"topics of {where} are texts or bytes, got {topics!r}")
    listed = [topics] if one else list(topics)
    if not listed or not all(isinstance(topic, str | bytes) for topic in listed):
        raise OptionError(f"topics of {where} are texts or bytes, got {topics!r}")
    if pattern != allowed:
        raise OptionError(
            f"topics make sense for pattern={allowed!r} only, {where} has {pattern!r}"
        )
    return tuple(topic.encode() if isinstance(topic, str) else topic for topic in listed)
