"""`minipipe diagram prog.py:pline`: what a program's pipeline looks like."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from minipipe.command import settings
from minipipe.command.failures import WRONG, tell
from minipipe.command.program import load_pipeline
from minipipe.command.saying import say
from minipipe.errors import UsageError

if TYPE_CHECKING:
    from graphviz import Digraph

TEXTS = (".dot", ".gv")
PICTURES = (".svg", ".pdf", ".png")


def main(arguments: argparse.Namespace, rest: Sequence[str]) -> int:
    """Draws it; returns the exit code.

    Args:
        rest: what the program finds in `sys.argv`.
    """
    command = f"minipipe {arguments.command}"
    try:
        pipeline = load_pipeline(arguments.target, rest)
        settings.apply(pipeline, arguments.set)
        drawing = pipeline.diagram(draw_streams=arguments.streams)
        if arguments.output is None:
            say(drawing.source)
        else:
            _write(drawing, arguments.output)
    except UsageError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return WRONG
    except Exception as error:  # of any kind: the program's own, a package that is missing
        tell(error, command)
        return 1
    return 0


def _write(drawing: Digraph, path: str) -> None:
    kind = os.path.splitext(path)[1].lower()
    if kind not in (*TEXTS, *PICTURES):
        kinds = ", ".join((*PICTURES, *TEXTS))
        raise UsageError(f"-o {path}: a diagram ends in one of {kinds}")
    made = drawing.source.encode() if kind in TEXTS else _picture(drawing, kind[1:])
    try:
        with open(path, "wb") as file:
            file.write(made)
    except OSError as error:
        raise UsageError(f"{path!r} cannot be written: {error.strerror or error}") from None


def _picture(drawing: Digraph, kind: str) -> bytes:
    from graphviz import ExecutableNotFound

    try:
        return bytes(drawing.pipe(format=kind))
    except ExecutableNotFound:
        raise UsageError(
            "a picture takes the program dot of Graphviz (apt install graphviz, brew install "
            "graphviz); without it there is dot's text: -o graph.dot"
        ) from None
