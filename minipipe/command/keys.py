"""`minipipe keys`: the keys and the token of a run that is still to begin."""

from __future__ import annotations

import argparse
import os
import sys

from minipipe.command.failures import WRONG
from minipipe.protocol.hosts.token import MAX_ADDRESSES
from minipipe.transport.hosts.run_keys import RunKeys, write_new

COMMAND = "minipipe keys"


def main(arguments: argparse.Namespace) -> int:
    """Makes them; returns the exit code."""
    output = arguments.output
    token_file = arguments.token_file or f"{output.removesuffix('.keys')}.token"
    if len(arguments.address) > MAX_ADDRESSES:
        return _failed(f"a token has at most {MAX_ADDRESSES} addresses", WRONG)
    if os.path.abspath(output) == os.path.abspath(token_file):
        return _failed("the keys and the token are two files", WRONG)
    made = RunKeys.new(arguments.address)
    written: list[str] = []
    try:
        made.save(output)
        written.append(output)
        write_new(token_file, f"{made.token.text}\n")
    except OSError as error:
        for path in written:  # half of them would be in the way of the next try
            os.unlink(path)
        name = token_file if written else output
        if isinstance(error, FileExistsError):
            return _failed(f"{name!r} exists already: remove it, or choose another name", 1)
        return _failed(f"{name!r} cannot be written: {error.strerror or error}", 1)
    print(f"{output}: for the run alone, run(bind=..., keys={output!r})")
    print(f"{token_file}: for other machines, minipipe agent --join @{token_file}")
    return 0


def _failed(why: str, status: int) -> int:
    print(f"{COMMAND}: {why}", file=sys.stderr)
    return status
