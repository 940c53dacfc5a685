"""Where a token is read from, and a file that it is written to.

Other users of a machine can list command lines, so a token may also come from a file (`@FILE`) or
from MINIPIPE_TOKEN.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping

from minipipe.errors import TokenError
from minipipe.protocol.hosts.token import Token, begins_as_token, parse_token

VARIABLE = "MINIPIPE_TOKEN"
MAX_BYTES = 65_536  # of a file: a token has a few hundred


def read_token(given: str | None, environ: Mapping[str, str] = os.environ) -> Token:
    """The token that was given, that is in the file of `@FILE`, or else in MINIPIPE_TOKEN.

    Raises:
        TokenError: there is none, it cannot be read, or is wrong.
    """
    where = ""
    if given is None:
        where, given = VARIABLE, environ.get(VARIABLE)
        if given is None:
            raise TokenError(f"is missing: give it, or @FILE, or set {VARIABLE}")
    if given.startswith("@"):
        where, given = _read_file(given[1:], where)
    try:
        return parse_token(given)
    except TokenError as error:
        what = error.what
    raise TokenError(what, where)


def _read_file(path: str, given_in: str) -> tuple[str, str]:
    where, content, why = f"the file {path!r}", b"", None
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # (a NUL in a path is a ValueError)
        why = error.strerror if isinstance(error, OSError) else str(error)
    if why is not None and begins_as_token(path):
        # (Raised here, without the error of the system: that would show it, as a name of a file.)
        raise TokenError("is a token, not a file: leave the @ away", given_in)
    if why is not None:
        raise TokenError(f"cannot be read: {why}", where)
    if len(content) > MAX_BYTES:
        raise TokenError(f"is none: that file has more than {MAX_BYTES} bytes", where)
    # A byte that is none of a token is a character that is none of a token.
    return where, content.decode("utf-8-sig", errors="replace")


def write_token(token: Token, path: str | os.PathLike[str]) -> None:
    """Puts it into a file that only this user can read, in the place of the last run's, at once.

    Raises:
        OSError: it cannot be written.
    """
    target = os.path.abspath(os.fspath(path))
    fd, beside = tempfile.mkstemp(prefix=".minipipe-token-", dir=os.path.dirname(target))  # 0600
    try:
        with open(fd, "w", encoding="ascii") as file:
            file.write(f"{token.text}\n")
        os.replace(beside, target)
    except BaseException:
        os.unlink(beside)
        raise
