"""Whether this code was called by a signal handler."""

from __future__ import annotations

import inspect
import sys
from itertools import pairwise
from types import FrameType
from typing import Any


def in_signal_handler() -> bool:
    """Whether a signal handler, in Python, is at work in this thread.

    It is known by what it was given: a signal, and the very frame that it has interrupted.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        given = pairwise(_arguments(frame))
        if any(isinstance(first, int) and second is frame.f_back for first, second in given):
            return frame.f_back is not None
        frame = frame.f_back
    return False


def _arguments(frame: FrameType) -> list[Any]:
    """What a function was called with, by position."""
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount]
    values = [frame.f_locals.get(name) for name in names]
    if code.co_flags & inspect.CO_VARARGS:
        values += frame.f_locals.get(
            code.co_varnames[code.co_argcount + code.co_kwonlyargcount], ()
        )
    return values
