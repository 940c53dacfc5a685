"""The interpreter's end: runs that nobody closed, and a Ctrl-C that prints one line."""

from __future__ import annotations

import atexit
import signal
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

from minipipe.pipeline import handler_exit, termination
from minipipe.pipeline.termination import Terminable, Terminated
from minipipe.process.exit_status import die_of, end_with


class EndsWithInterpreter(Terminable, Protocol):
    """A run that is on when the script has ended."""

    def end_with_interpreter(self) -> None:
        """Waits for its end, or stops it; raises what went wrong."""

    hurried: bool

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """Those that make it end."""

    def hurry(self) -> None:
        """Stops it, the second time without any grace."""

    def forget_if_left(self) -> None:
        """Is over for good, if its loop was left and it has ended: nobody else will ask."""


@runtime_checkable
class StaysBetweenPasses(Protocol):
    """A run whose workers stay from pass to pass."""

    def line_between_passes(self) -> str | None:
        """What a Ctrl-C prints that hits the script between two passes; None: it is in one."""


_unended: set[EndsWithInterpreter] = set()
LEFT_S = 3.0
# What is left of the threads of a run that has ended is a few steps: but for one that writes to a
# stdout which nobody reads.
JOIN_S = 5.0
# A thread that the interpreter's end cuts off holds its frames for ever, by them the run, its
# functors and their modules' globals: a file that the script had open was never flushed.
_last_steps: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
# When a loop was left early, and what says what its run came to (later: locks may be held then).
_left: list[tuple[float, Callable[[], str]]] = []
# The Ctrl-C that the script ended with.  Python remembers that, too, but forgets it whenever a
# text is executed, as each named tuple that is declared does: the exit status was 1 then.
_hit_by: list[BaseException] = []


def begin(run: EndsWithInterpreter) -> None:
    """A run is on: a SIGTERM stops it, and the interpreter's end waits for it."""
    for other in list(_unended):
        other.forget_if_left()  # or each `next(iter(pline))` would be remembered for ever
    _unended.add(run)
    termination.begin(run)
    handler_exit.begin()


def end(run: EndsWithInterpreter) -> None:
    """A run is over, and somebody knows what it came to."""
    _unended.discard(run)
    _last_steps.update(run.threads)
    termination.end(run)
    if not _unended:
        handler_exit.end()


def note_left(summary: Callable[[], str]) -> None:
    """A loop over a run was left: by break, or by an exception that nobody can see from there."""
    _left[:] = [(time.monotonic(), summary)]


_hook: Callable[..., None] | None = None  # ours, if one was set


def interrupt(text: str) -> KeyboardInterrupt:
    """A KeyboardInterrupt that, uncaught, prints `text` alone instead of a traceback.

    Not a subclass: Python ends itself by SIGINT, as a shell expects, for that very class only.
    """
    error = Terminated(text) if termination.arrived() else KeyboardInterrupt(text)
    error._render_traceback_ = lambda: [text]  # type: ignore[attr-defined]  # IPython asks
    return error


def _is_quiet(error: BaseException | None) -> bool:
    return isinstance(error, KeyboardInterrupt) and hasattr(error, "_render_traceback_")


def quiet_interrupts() -> None:
    """From now on an uncaught `interrupt` prints one line; all else goes on as before."""
    global _hook
    if _hook is None or sys.excepthook is not _hook:
        # A new one each time: one that was put around a wrapper of itself would call itself.
        _hook = sys.excepthook = _quiet(sys.excepthook)


def _quiet(previous: Callable[..., Any]) -> Callable[..., None]:
    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if _is_quiet(error):
            print(error, file=sys.stderr)
            _hit_by[:] = [error]
            return
        if issubclass(kind, KeyboardInterrupt):
            _hit_by[:] = [error]
            # In the body of a loop, most likely, which was left by that.
            lines = [said() for at_s, said in _left if time.monotonic() - at_s < LEFT_S]
            stay = [run for run in list(_unended) if isinstance(run, StaysBetweenPasses)]
            lines += [line for run in stay if (line := run.line_between_passes())]
            if lines:
                print(lines[0], file=sys.stderr)
                return
        if issubclass(kind, Terminated):
            print(error, file=sys.stderr)  # where it hit the script is of no interest
            return
        previous(kind, error, trace)

    return hook


def died_of() -> BaseException | None:
    """The exception that the script ended with, if it did (not an earlier one, typed in)."""
    if sys.flags.interactive or hasattr(sys, "ps1"):
        return None
    return getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)


def _wait_for_runs() -> None:
    """The script has ended, a run has not: waits for it, or, if the script failed, stops it."""
    failed = interrupted = False
    status = 0
    patience = 10  # so often a handler may raise
    runs = list(_unended)
    if handler_exit.was_called():
        for run in runs:
            if not run.hurried:  # as it was waited for just then
                run.hurry()  # it saves what there is to save
    while runs:
        run = runs[0]
        try:
            run.end_with_interpreter()
        except BaseException as error:  # the last chance to report it
            if isinstance(error, Terminated) and not run.ended:
                # It came before the wait: all are stopped, and what comes of that is said next.
                continue
            by_handler = not run.ended  # a signal handler of the user's has raised it
            if by_handler:
                for other in runs:
                    if other is not run or not isinstance(error, SystemExit):
                        other.hurry()
            if isinstance(error, SystemExit):
                status = _status_of(error)
            elif _is_quiet(error):
                print(error, file=sys.stderr)
                interrupted = failed = True
            else:
                traceback.print_exc()
                failed = True
            if by_handler and patience > 0:
                patience -= 1
                continue  # it saves what there is to save
        del runs[0]
    if termination.arrived():
        die_of(signal.SIGTERM)
    elif interrupted or (_hit_by and died_of() is _hit_by[0]):
        die_of(signal.SIGINT)  # as a shell expects of what Ctrl-C has ended
    elif status:
        end_with(status)
    elif failed and died_of() is None:  # else the status says already that something failed
        end_with(1)
    for thread in list(_last_steps):
        thread.join(JOIN_S)


def _status_of(error: SystemExit) -> int:
    """The exit status that Python would make of it."""
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def _wait_first() -> None:
    """Has `_wait_for_runs` called before all exit handlers, which run in reverse order.

    What they take down (temporary directories, logs, a tracker of experiments) may be in use
    until the runs have ended, as it would be in a script that calls `close()`.
    """
    atexit.register(_wait_for_runs)


# Python calls this when the script has ended, before it waits for threads that are no daemons.
threading._register_atexit(_wait_first)  # type: ignore[attr-defined]
