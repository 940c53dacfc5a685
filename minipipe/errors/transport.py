"""Errors of what travels between processes, and of what it travels through."""

from __future__ import annotations

from minipipe.errors.base import MiniPipeError
from minipipe.errors.options import did_you_mean


class WireFormatError(MiniPipeError, ValueError):
    """Bytes that arrived are not what this version of MiniPipe writes."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class RecordError(WireFormatError):
    """A record came that is malformed, or that holds what its socket does not accept.

    Args:
        socket: the address of the socket that it came by.
        sender: the worker that it says it is from; 0 is the supervisor.
        record: its name.
        what: is wrong with it.
        stream: of a parcel, the number of its stream.
    """

    def __init__(
        self, socket: str, sender: int, record: str, what: str, stream: int | None = None
    ) -> None:
        super().__init__(what)
        self.args = (socket, sender, record, what, stream)
        self.socket = socket
        self.sender = sender
        self.record = record
        self.stream = stream

    def __str__(self) -> str:
        sender = f"worker {self.sender}" if self.sender else "the supervisor"
        stream = "" if self.stream is None else f" of stream {self.stream}"
        return f"{self.socket} refused record {self.record}{stream} from {sender}: {self.what}"


class ItemTypeError(MiniPipeError, TypeError):
    """An item, or a part of it, cannot travel between processes."""

    def __init__(self, where: str, type_name: str, why: str) -> None:
        super().__init__(where, type_name, why)
        self.where = where
        self.type_name = type_name
        self.why = why

    def __str__(self) -> str:
        return f"{self.where} of type {self.type_name} cannot be sent: {self.why}"


class UnreadableItemError(MiniPipeError, ValueError):
    """An item that has arrived could not be made again: its class has not accepted what it gave.

    Its cause is what was raised there.
    """

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what = what
        self.why = why

    def __str__(self) -> str:
        return f"an item cannot be unpickled: {self.what} failed ({self.why})"


class UnknownTransportError(MiniPipeError, ValueError):
    """An address whose scheme no transport answers to."""

    def __init__(self, scheme: str, address: str, known: tuple[str, ...]) -> None:
        super().__init__(scheme, address, known)
        self.scheme = scheme
        self.address = address
        self.known = known

    def __str__(self) -> str:
        return (
            f"unknown transport {self.scheme!r} in {self.address!r} "
            f"(known: {', '.join(self.known)}){did_you_mean(self.scheme, self.known)}"
        )


class TransportError(MiniPipeError, OSError):
    """A socket could not be bound, connected or used."""


class TokenError(MiniPipeError, ValueError):
    """A token that invites to no run.  Nothing of it is shown: it may hold a secret.

    Args:
        what: is wrong with it.
        where: it was read from; "" if it was given as it is.
    """

    def __init__(self, what: str, where: str = "") -> None:
        super().__init__(what, where)
        self.what = what
        self.where = where

    def __str__(self) -> str:
        return f"the token{self.where and f' from {self.where}'} {self.what}"


class JoinError(MiniPipeError, ConnectionError):
    """This host could not join a run.

    Args:
        where: the addresses of the token.
        why: for each, or what the run has said.
        is_refusal: the run has said that; it would say so again.
    """

    def __init__(self, where: str, why: str, is_refusal: bool = False) -> None:
        super().__init__(where, why, is_refusal)
        self.where = where
        self.why = why
        self.is_refusal = is_refusal

    def __str__(self) -> str:
        return f"could not join the run at {self.where}: {self.why}"


class RunDirectoryLostError(MiniPipeError, OSError):
    """Somebody has removed the run's directory while the run was on."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return (
            f"the run's directory {self.path!r} was removed while the run was on, and with it the "
            "sockets of its workers, so the run was stopped: it has to stay until the run's end "
            "(TMPDIR says where it is made)"
        )
