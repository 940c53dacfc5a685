"""An agent that comes before its run: it waits for the token's file, and for the run."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

from minipipe.errors import JoinError
from minipipe.protocol.hosts.token import Token
from minipipe.transport.token_text import VARIABLE

RETRY_S = 1.0


def serve_when_there(
    find: Callable[[], Token], serve: Callable[[Token], int], file: str | None, wait_s: float
) -> int:
    """Joins, and serves, as soon as the run is there; returns the exit code.

    Args:
        find: reads the token, anew each time: the file may be that of the last run.
        serve: joins, and serves.
        file: that the token is in, if it is in one.
        wait_s: so long it is tried.

    Raises:
        TokenError: there is one, and it is wrong.
        JoinError: the time is up, or the run has refused.
    """
    until_s = time.monotonic() + wait_s
    said = ""
    # Process 1 of a container takes no notice of a SIGTERM that it has no handler for.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    while True:
        is_last = time.monotonic() + RETRY_S >= until_s
        if file is not None and not is_last and not os.path.exists(file):
            why = f"there is no file {file!r} yet"
        else:
            try:
                return serve(find())
            except JoinError as error:
                if error.is_refusal or is_last:
                    raise
                why = str(error)
        if why != said:
            said = why
            print(f"minipipe: waiting for the run, {wait_s:g} s at most: {why}", file=sys.stderr)
        time.sleep(RETRY_S)


def token_file(given: str | None, environ: Mapping[str, str]) -> str | None:
    """The path of the file that a token is in; None: it is in none."""
    text = environ.get(VARIABLE, "") if given is None else given
    return text[1:] if text.startswith("@") else None


def _leave(*_: object) -> NoReturn:
    raise SystemExit(0)
