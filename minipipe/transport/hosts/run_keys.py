"""The keys of a run that were made before it, with the token that goes with them.

A run makes new ones for itself. Where who joins is set up before the run (a Secret of Kubernetes, a
file that was copied to other machines), they are made by `minipipe keys`, and the run takes them:
`run(keys=...)`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field

from minipipe.errors import OptionError, TokenError
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.protocol.hosts.token import Token, parse_token
from minipipe.transport.curve import CurveKeys
from minipipe.transport.hosts.invitation import invite, server_key

_FILE_HEADER = "minipipe run keys 1"
_MAX_CHARACTERS = 65_536
_NONE = "is no file of `minipipe keys`"


@dataclass(frozen=True)
class RunKeys:
    """Who has these is the run that the token invites to.

    Args:
        server: the key pair of the run.
        token: by which others join it; it holds the public one.

    Raises:
        OptionError: they do not belong together.
    """

    server: CurveKeys
    token: Token = field(repr=False)

    def __post_init__(self) -> None:
        if server_key(self.token) != self.server.public:
            raise OptionError("the token does not belong to these keys")

    @classmethod
    def new(cls, endpoints: Sequence[Endpoint]) -> RunKeys:
        """New ones.

        Args:
            endpoints: where others will reach the run.
        """
        server = CurveKeys.new()
        return cls(server, invite(endpoints, server))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes them to a new file that only this user can read.

        Raises:
            FileExistsError: there is one already.
        """
        text = f"{_FILE_HEADER}\n{self.server.public}\n{self.server.secret}\n{self.token.text}\n"
        write_new(path, text)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> RunKeys:
        """Reads a file that `save` has written.

        Raises:
            OSError: it cannot be read.
            OptionError: it is none, or others can read it.
        """
        with open(path, encoding="ascii", errors="replace") as file:
            if os.name == "posix" and is_open_to_others(os.fstat(file.fileno())):
                raise OptionError("it can be read by others: chmod 600, or make new ones")
            lines = file.read(_MAX_CHARACTERS).splitlines()
        if len(lines) != 4 or lines[0] != _FILE_HEADER:
            raise OptionError(_NONE)
        try:
            return cls(CurveKeys(lines[1], lines[2]), parse_token(lines[3]))
        except TokenError as error:
            raise OptionError(f"{_NONE}: {error}") from None


def is_open_to_others(status: os.stat_result) -> bool:
    """Whether others than the owner of a file, and who runs this, can read what is in it.

    Its group may, where it is root's: so Kubernetes mounts a Secret for who is not root (fsGroup).
    """
    allowed = stat.S_IRGRP if status.st_uid == 0 else 0
    return bool(status.st_mode & (stat.S_IRWXG | stat.S_IRWXO) & ~allowed)


def write_new(path: str | os.PathLike[str], text: str) -> None:
    """Writes a secret to a new file that only this user can read.

    Raises:
        FileExistsError: there is one already.
        OSError: it cannot be written.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(fd, "w", encoding="ascii") as file:
        file.write(text)
