"""Source lines in tracebacks of other processes, where only this one has the source."""

from __future__ import annotations

import linecache
import re

_FRAME = re.compile(r'^ {2}File "(?P<file>.+)", line (?P<line>\d+)(, in .*)?$')
_SOURCE = "    "


def with_source_lines(trace: str) -> str:
    """A traceback, with the lines that it lacks: those of cells of a notebook, which are no files.

    Args:
        trace: as `traceback` formats it.
    """
    lines = trace.split("\n")
    told: list[str] = []
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        told.append(line)
        frame = _FRAME.match(line)
        if frame is not None and not after.startswith(_SOURCE):
            source = linecache.getline(frame["file"], int(frame["line"])).strip()
            if source:
                told.append(f"{_SOURCE}{source}")
    return "\n".join(told)
