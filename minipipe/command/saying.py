"""What a command prints on stdout, which may be a pipe whose reader has seen enough."""

from __future__ import annotations

import os
import sys


def say(*lines: str) -> None:
    """Prints lines, as long as somebody reads them."""
    try:
        print(*lines, sep="\n", end="\n" * bool(lines), flush=True)
    except BrokenPipeError:  # `minipipe diagram train.py | head`
        hear_no_more()


def hear_no_more() -> None:
    """Nobody reads stdout any more: what is still in its buffer goes nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
