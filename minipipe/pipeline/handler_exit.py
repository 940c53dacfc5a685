"""`sys.exit` in a signal handler of the user's, wherever the script is: it means the runs, too.

At the interpreter's end a script that was ended so looks like one that came to its end: nothing is
left of a SystemExit by then, and no hook is called for it.  A run without an end was then waited
for without an end.  So while runs are on `sys.exit` is one that notes who calls it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from minipipe.process.handlers import in_signal_handler

# What is ours, and what was there before it.  A new one each time: others wrap what they find, and
# a single one, put around a wrapper of itself, called itself without end.
_installed: tuple[Callable[..., Any], Callable[..., Any]] | None = None
_noted = False


def begin() -> None:
    """A run is on: from now on calls are noted; those before were of a script that went on."""
    global _noted, _installed
    _noted = False
    if _installed is None or sys.exit is not _installed[0]:
        _installed = _noting(sys.exit), sys.exit
        sys.exit = _installed[0]


def end() -> None:
    """No run is on."""
    global _installed
    if _installed is not None and sys.exit is _installed[0]:  # else somebody has put theirs there
        sys.exit = _installed[1]
        _installed = None


def was_called() -> bool:
    """Whether a signal handler has exited since the last run began."""
    return _noted


def _noting(original: Callable[..., Any]) -> Callable[..., Any]:
    def exit_and_note(*status: Any) -> Any:
        global _noted
        if threading.current_thread() is threading.main_thread() and in_signal_handler():
            _noted = True
        return original(*status)  # somebody's own one may return: that of a test, say

    return exit_and_note
