"""The interpreter's end: runs that nobody closed, and a Ctrl-C that prints one line."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
import traceback
from types import TracebackType
from typing import Protocol


class EndsWithInterpreter(Protocol):
    """A run that is on when the script has ended."""

    def end_with_interpreter(self) -> None:
        """Waits for its end, or stops it; raises what went wrong."""


running: set[EndsWithInterpreter] = set()
LEFT_S = 3.0
_left: list[tuple[float, str]] = []  # when a loop was left early, and what its run came to


def note_left(summary: str) -> None:
    """A loop over a run was left: by break, or by an exception that nobody can see from there."""
    _left[:] = [(time.monotonic(), summary)]


_previous_hook = sys.excepthook


def interrupt(text: str) -> KeyboardInterrupt:
    """A KeyboardInterrupt that, uncaught, prints `text` alone instead of a traceback.

    Not a subclass: Python ends itself by SIGINT, as a shell expects, for that very class only.
    """
    error = KeyboardInterrupt(text)
    error._render_traceback_ = lambda: [text]  # type: ignore[attr-defined]  # IPython asks
    return error


def _is_quiet(error: BaseException | None) -> bool:
    return isinstance(error, KeyboardInterrupt) and hasattr(error, "_render_traceback_")


def quiet_interrupts() -> None:
    """From now on an uncaught `interrupt` prints one line; all else goes on as before."""
    global _previous_hook
    if sys.excepthook is not _hook:
        _previous_hook = sys.excepthook
        sys.excepthook = _hook


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if _is_quiet(error):
        print(error, file=sys.stderr)
        return
    if issubclass(kind, KeyboardInterrupt):
        # In the body of a loop, most likely, which was left by that.
        lines = [said for at_s, said in _left if time.monotonic() - at_s < LEFT_S]
        if lines:
            print(lines[0], file=sys.stderr)
            return
    _previous_hook(kind, error, trace)


def died_of() -> BaseException | None:
    """The exception that the script ended with, if it did (not an earlier one, typed in)."""
    if sys.flags.interactive or hasattr(sys, "ps1"):
        return None
    return getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)


def _at_exit() -> None:
    """The script has ended, a run has not: waits for it, or, if the script failed, stops it."""
    failed = interrupted = False
    for execution in list(running):
        try:
            execution.end_with_interpreter()
        except BaseException as error:  # the last chance to report it
            if _is_quiet(error):
                print(error, file=sys.stderr)
                interrupted = True
            else:
                traceback.print_exc()
            failed = True
    if failed:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        if interrupted:  # end as a shell expects of what Ctrl-C has ended
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        os._exit(1)  # an exception in here would be printed, and the exit code still be 0


atexit.register(_at_exit)
