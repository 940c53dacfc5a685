"""`sys.exit` in a signal handler of the user's, wherever the script is: it means the runs, too.

At the interpreter's end a script that was ended so looks like one that came to its end: nothing is
left of a SystemExit by then, and no hook is called for it.  A run without an end was then waited
for without an end.  So while runs are on `sys.exit` is one that notes who calls it.
"""

from __future__ import annotations

import sys
import threading
from typing import Any, NoReturn

from minipipe.process.handlers import in_signal_handler

_original = sys.exit
_noted = False


def begin() -> None:
    """A run is on: from now on calls are noted; those before were of a script that went on."""
    global _noted, _original
    _noted = False
    if sys.exit is not exit_and_note:
        _original, sys.exit = sys.exit, exit_and_note


def end() -> None:
    """No run is on."""
    if sys.exit is exit_and_note:  # else somebody else has put theirs there
        sys.exit = _original


def was_called() -> bool:
    """Whether a signal handler has exited since the last run began."""
    return _noted


def exit_and_note(*status: Any) -> NoReturn:
    """Does what `sys.exit` does."""
    global _noted
    if threading.current_thread() is threading.main_thread() and in_signal_handler():
        _noted = True
    _original(*status)
    raise AssertionError("sys.exit has returned")
