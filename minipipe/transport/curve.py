"""CURVE: key pairs, and who is the server of a connection.

Without a handler that admits keys (`transport.watch`) a CURVE server lets in everybody who knows
its public key (ZeroMQ RFC 27), so there is no server here without a list of clients, and none that
lets anybody in when its handler has ended.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import zmq
from zmq.utils import z85

from minipipe.errors import OptionError

KEY_CHARACTERS = 40
ZAP_DOMAIN = b"minipipe"
# In the place of a run's public key: it is not encrypted (`security="none"`).
NO_KEY = "0" * KEY_CHARACTERS
_FILE_HEADER = "minipipe curve keys 1"


@dataclass(frozen=True)
class CurveKeys:
    """A key pair of CURVE, ZeroMQ's encryption.  What is printed of it is the public one alone.

        keys = mp.CurveKeys.new()
        keys.save("trainer.keys")            # mode 0600; mp.CurveKeys.load("trainer.keys")
        print(keys.public)                   # for the other side: no secret

    Args:
        public: 40 characters (Z85).
        secret: 40 characters.

    Raises:
        OptionError: they are no keys, or do not belong together.
    """

    public: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        raw_key(self.public, "public of CurveKeys")
        raw_key(self.secret, "secret of CurveKeys")
        if zmq.curve_public(self.secret.encode()) != self.public.encode():
            raise OptionError("public and secret of CurveKeys do not belong together")

    @classmethod
    def new(cls) -> CurveKeys:
        """A new pair."""
        public, secret = zmq.curve_keypair()
        return cls(public.decode(), secret.decode())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes both to a new file that only this user can read.

        Raises:
            FileExistsError: there is one already.
        """
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(fd, "w", encoding="ascii") as file:
            file.write(f"{_FILE_HEADER}\n{self.public}\n{self.secret}\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CurveKeys:
        """Reads a file that `save` has written.

        Raises:
            OSError: it cannot be read.
            OptionError: it is none, or others than this user can read it.
        """
        with open(path, encoding="ascii", errors="replace") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                raise OptionError(
                    f"the keys in {os.fspath(path)!r} can be read by others: chmod 600, or make "
                    "new ones"
                )
            lines = file.read(1024).splitlines()
        if len(lines) != 3 or lines[0] != _FILE_HEADER:
            raise OptionError(f"{os.fspath(path)!r} is no file of CurveKeys.save")
        return cls(lines[1], lines[2])


@dataclass(frozen=True)
class CurveServer:
    """The server's side of CURVE: it lets in the clients on its list, and nobody else.

    Args:
        keys: its own.
        clients: their public keys.

    Raises:
        OptionError: these are no keys, or nobody is on the list.
    """

    keys: CurveKeys
    clients: Sequence[str]

    def __post_init__(self) -> None:
        _check_pair(self.keys, "CurveServer")
        if isinstance(self.clients, str) or not isinstance(self.clients, Sequence):
            raise OptionError("clients of CurveServer is a list of public keys")
        object.__setattr__(self, "clients", tuple(self.clients))
        if not self.clients:
            raise OptionError("clients of CurveServer is empty: nobody could connect")
        for number, key in enumerate(self.clients):
            raw_key(key, f"clients[{number}] of CurveServer")

    def apply(self, socket: zmq.Socket[Any]) -> None:
        """The socket speaks CURVE from now on; before it is bound or connected."""
        serve_curve(socket, self.keys)


@dataclass(frozen=True)
class CurveClient:
    """The client's side of CURVE: it talks to the owner of this server key, and to nobody else.

    Args:
        server: the server's public key.
        keys: its own, whose public one is on the server's list.

    Raises:
        OptionError: these are no keys.
    """

    server: str
    keys: CurveKeys

    def __post_init__(self) -> None:
        _check_pair(self.keys, "CurveClient")
        raw_key(self.server, "server of CurveClient")

    @property
    def is_plain(self) -> bool:
        """Whether the server has no key: nothing is encrypted."""
        return self.server == NO_KEY

    def apply(self, socket: zmq.Socket[Any]) -> None:
        """The socket speaks CURVE from now on; before it is bound or connected."""
        if self.is_plain:
            return
        socket.setsockopt(zmq.CURVE_SERVERKEY, self.server.encode())
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self.keys.public.encode())
        socket.setsockopt(zmq.CURVE_SECRETKEY, self.keys.secret.encode())


def serve_curve(socket: zmq.Socket[Any], keys: CurveKeys) -> None:
    """The socket is a server of CURVE, and lets in nobody if nobody answers for it (ZAP).

    libzmq lets in everybody then, unless both are set: a domain, and that it is needed.
    """
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret.encode())
    socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)


def raw_key(key: object, what: str) -> bytes:
    """The 32 bytes of a key.

    Raises:
        OptionError: it is none.  What was given is not shown: it may be a secret.
    """
    shape = f"{len(key)} characters" if isinstance(key, str) else f"a {type(key).__name__}"
    if isinstance(key, str) and len(key) == KEY_CHARACTERS:
        try:
            return z85.decode(key.encode("ascii"))
        except (KeyError, UnicodeEncodeError, struct.error):
            shape = "others than these"
    raise OptionError(
        f"{what} is a key of CURVE, a text of {KEY_CHARACTERS} characters (Z85), got {shape}"
    )


def _check_pair(keys: object, where: str) -> None:
    if not isinstance(keys, CurveKeys):
        raise OptionError(
            f"keys of {where} is a key pair (mp.CurveKeys.new()), got a {type(keys).__name__}"
        )
