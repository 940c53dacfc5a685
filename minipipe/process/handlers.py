"""Whether this code was called by a signal handler."""

from __future__ import annotations

import sys
from itertools import chain


def in_signal_handler() -> bool:
    """Whether a signal handler, in Python, is at work in this thread.

    It is known by what it was given: the very frame that it has interrupted.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None:
        code = frame.f_code
        if code.co_argcount >= 2 or code.co_flags & 0x04:  # or it takes any number (*args)
            values = frame.f_locals.values()
            if any(
                value is frame.f_back
                for value in chain(values, *(v for v in values if type(v) is tuple))
            ):
                return True
        frame = frame.f_back
    return False
