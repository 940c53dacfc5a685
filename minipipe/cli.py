"""The command `minipipe`, also `python -m minipipe`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from minipipe.command.arguments import parsed


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["demo"]:  # it has a parser of its own
        from minipipe.demo import main as demo

        return demo(arguments[1:])
    known, rest = parsed(arguments)
    if known.command == "dead-letters":
        from minipipe.dead_letters.table import show

        return show(known.path)
    if known.command in ("run", "report"):
        from minipipe.command import run

        return run.main(known, rest)
    if known.command == "agent":
        from minipipe.agent.main import serve
        from minipipe.command import agent

        return agent.main(known, serve)
    if known.command == "keys":
        from minipipe.command import keys

        return keys.main(known)
    if known.command == "top":
        from minipipe.command import top

        return top.main(known)
    if known.command == "diagram":
        from minipipe.command import diagram

        return diagram.main(known, rest)
    raise AssertionError(known.command)
