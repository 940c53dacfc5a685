"""`minipipe agent --join TOKEN`: this machine runs workers of a run that is on another one."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Mapping

from minipipe.command.failures import WRONG, tell
from minipipe.command.waiting import serve_when_there, token_file
from minipipe.errors import MiniPipeError, TokenError, UsageError
from minipipe.process.command_line import hide
from minipipe.process.cpus import usable_cpus
from minipipe.process.gpus import visible_gpus
from minipipe.protocol.hosts.names import as_name
from minipipe.protocol.hosts.offer import Offer
from minipipe.protocol.hosts.token import Token, without_tokens
from minipipe.transport.hosts.going_out import from_source
from minipipe.transport.token_text import VARIABLE, read_token

COMMAND = "minipipe agent"


Serve = Callable[[Token, Offer, int | None], int]


def main(arguments: argparse.Namespace, serve: Serve) -> int:
    """Joins, and serves until the run is over; returns the exit code.

    Args:
        serve: does that; raises `MiniPipeError` if it cannot.
    """
    given = dict(os.environ)  # where a token is looked for again, if it is waited for
    try:
        offer = offer_of(arguments, os.environ)
        if arguments.wait is None:
            return serve(_token(arguments, given), offer, arguments.port)
        file = token_file(_given(arguments), given)
        return serve_when_there(
            lambda: _token(arguments, given),
            lambda token: serve(token, offer, arguments.port),
            file,
            arguments.wait,
        )
    except (TokenError, UsageError) as error:
        print(f"{COMMAND}: {error}", file=sys.stderr)
        return WRONG
    except MiniPipeError as error:
        tell(error, COMMAND)
        return 1


def _token(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Token:
    token = token_of(_given(arguments), environ)
    return token if arguments.interface is None else from_source(token, arguments.interface)


def _given(arguments: argparse.Namespace) -> str | None:
    """What stands on the command line as the token.

    Raises:
        UsageError: two of them do.
    """
    named: str | None = arguments.join
    bare: str | None = arguments.token
    if named is not None and bare is not None:
        raise UsageError("there are two tokens, one behind --join and one without: give one")
    return bare if named is None else named


def token_of(given: str | None, environ: Mapping[str, str] = os.environ) -> Token:
    """The token, which neither `ps` nor what is started from here shows from now on.

    Raises:
        TokenError: there is none, or it is wrong.
    """
    if given is not None and not given.startswith("@"):
        hide(given)
        sys.argv[:] = map(without_tokens, sys.argv)
    try:
        return read_token(given, environ)
    finally:
        hide(os.environ.pop(VARIABLE, ""))


def offer_of(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Offer:
    """What this machine has for a run.

    Raises:
        UsageError: it is to offer what it does not have.
    """
    return Offer(
        name=arguments.name or as_name(platform.node(), "host"),
        slots=arguments.slots or usable_cpus(),
        gpus=gpus_of(arguments.gpus, environ),
        tags=tuple(dict.fromkeys(arguments.tags)),
        pid=os.getpid(),
    )


def gpus_of(asked: int | tuple[str, ...] | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The GPUs that are offered, each as CUDA_VISIBLE_DEVICES of a child would name it.

    Args:
        asked: so many; or these: by their numbers among those that this process sees, or by id.
            None: all.

    Raises:
        UsageError: there are fewer.
    """
    if asked in (0, ()):
        return ()
    seen = visible_gpus(environ)
    shown = f"this machine shows {len(seen)}"
    if "CUDA_VISIBLE_DEVICES" in environ:
        shown += f" (CUDA_VISIBLE_DEVICES={environ['CUDA_VISIBLE_DEVICES']})"
    if asked is None:
        return seen
    if isinstance(asked, int):
        if asked > len(seen):
            raise UsageError(f"--gpus {asked}: {shown}")
        return seen[:asked]
    for gpu in asked:
        if gpu.isdecimal() and int(gpu) >= len(seen):
            raise UsageError(f"--gpus: there is no GPU {gpu}, {shown}")
    found = tuple(seen[int(gpu)] if gpu.isdecimal() else gpu for gpu in asked)
    if len(set(found)) < len(found):
        raise UsageError(f"--gpus {','.join(asked)}: it names a GPU twice")
    return found
