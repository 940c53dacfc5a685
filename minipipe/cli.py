"""The command `minipipe`, also `python -m minipipe`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from minipipe.version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="minipipe", description="Mini-batch pipelines over processes, on ZeroMQ."
    )
    parser.add_argument("--version", action="version", version=f"minipipe {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser(
        "demo", help="train on the handwritten digits, streamed from disk", add_help=False
    )
    letters = commands.add_parser("dead-letters", help="show what is in a file of dead letters")
    letters.add_argument("path", help="the file that dead_letter= was given")
    known, rest = parser.parse_known_args(arguments)
    if known.command == "demo":
        from minipipe.demo import main as demo

        return demo(rest)
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if known.command == "dead-letters":
        from minipipe.dead_letters.table import show

        return show(known.path)
    raise AssertionError(known.command)
