"""What functors import, imported once in their zygote: its workers are forked with it.

A module that cannot be shared like that is left to each worker, as it would be without this.  That
shows only when it has been imported: then the zygote begins anew, without it; and a second time
without any but those that the user has named, as to import for ever again takes longer than each
worker's own imports do.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import importlib
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from minipipe.process.importing import importing_for_worker
from minipipe.process.main_module import become_main
from minipipe.worker.ending import is_users
from minipipe.worker.native_threads import NativeThreads
from minipipe.worker.obstacles import NO_FORK, Guard, obstacle, state
from minipipe.worker.plan import Plan
from minipipe.worker.stack import STACK_SIGNAL, write_stack_at_signal

ATTEMPTS = 3  # the last one imports nothing by itself


class PreloadError(Exception):
    """A module that the user has named cannot be imported, or cannot be shared."""


class SpoiltError(Exception):
    """This process must not fork workers any more.

    Args:
        module: what has done it.
    """


def preload(plan: Plan, leave_out: Sequence[str], tell: Callable[[str], object]) -> None:
    """Imports what there is to import.

    Args:
        leave_out: those that have done harm before.
        tell: is told of each module before it is imported.

    Raises:
        PreloadError: one that the user has named cannot be had so.
        SpoiltError: another one cannot, and this process is of no use any more.
    """
    if not plan.found and not plan.wanted:
        return
    sys.path[:], sys.argv[:] = plan.sys_path, plan.argv
    if plan.cwd is not None:
        os.chdir(plan.cwd)
    if plan.main is not None:
        become_main(plan.main)
    for name in plan.wanted:
        tell(name)
        _import(name, is_wanted=True)
    if len(leave_out) >= ATTEMPTS - 1:
        return
    for name in plan.found:
        is_forbidden = name in leave_out or name.partition(".")[0] in NO_FORK
        if not is_forbidden and name not in sys.modules:
            tell(name)
            _import(name, is_wanted=False)


def _import(name: str, *, is_wanted: bool) -> None:
    before, known = state(), set(sys.modules)
    guard = Guard()
    sys.meta_path.insert(0, guard)
    try:
        with importing_for_worker(), _exit_handlers() as handlers, NativeThreads() as threads:
            importlib.import_module(name)
    except BaseException as error:  # its workers meet it, too, and tell it in their way
        if is_wanted:
            said = f"{type(error).__name__}: {error}"
            raise PreloadError(f"{name!r} of preload= cannot be imported: {said}") from error
    finally:
        sys.meta_path.remove(guard)
    why = guard.met or obstacle(before, known) or threads.obstacle()
    if any(is_users(module) for module in handlers):
        why = (
            "it has exit handlers, which would remove for all workers what the first of them leaves"
        )
    if why is not None:
        if is_wanted:
            raise PreloadError(
                f"{name!r} of preload= cannot be imported before workers are forked: {why}; leave "
                "it out, so that each worker imports it"
            )
        raise SpoiltError(name)


@contextlib.contextmanager
def _exit_handlers() -> Iterator[list[str]]:
    """Meanwhile it is noted in which modules the exit handlers are that are registered."""
    register, modules = atexit.register, list[str]()

    def noted(function: Any, *args: Any, **kwargs: Any) -> Any:
        modules.append(str(getattr(function, "__module__", None)))
        return register(function, *args, **kwargs)

    atexit.register = noted  # type: ignore[assignment]
    try:
        yield modules
    finally:
        atexit.register = register


class Preloading:
    """A zygote's own beginning: what it imports, where that prints, and how it begins anew.

    Args:
        place: the file with its `Plan`.
        out, err: where what is imported prints to; given away.
        leave_out: what has done harm in attempts before.
    """

    def __init__(self, place: str, out: int, err: int, leave_out: Sequence[str]) -> None:
        self._place = place
        self._pipes = (out, err)
        self._leave_out = tuple(leave_out)
        self._environment = dict(os.environ)

    def run(self, tell: Callable[[str], object]) -> str | None:
        """Imports all that there is to import; what to tell the user, if that is not possible.

        Args:
            tell: is told of each module before it is imported.
        """
        with open(self._place, "rb") as file:
            plan: Plan = pickle.load(file)
        own = [os.dup(fd) for fd in (1, 2)]
        for fd, theirs in zip((1, 2), self._pipes, strict=True):
            os.dup2(theirs, fd)
        # Ignored before and afterwards, as somebody may be slow to hear that this is over.
        signal.signal(STACK_SIGNAL, signal.SIG_IGN)
        write_stack_at_signal(self._pipes[1])
        try:
            preload(plan, self._leave_out, tell)
        except PreloadError as error:
            return str(error)
        except SpoiltError as error:
            self._begin_anew(own, str(error))
        finally:
            faulthandler.unregister(STACK_SIGNAL)
            _flush()
            for fd, back in zip((1, 2), own, strict=True):
                os.dup2(back, fd)
                os.close(back)
        for fd in self._pipes:
            os.close(fd)
        return None

    def _begin_anew(self, own: Sequence[int], module: str) -> NoReturn:
        """This process is another one from here on, with what it was given."""
        _flush()
        faulthandler.unregister(STACK_SIGNAL)
        for fd, back in zip((1, 2), own, strict=True):
            os.dup2(back, fd)
        os.execve(sys.executable, [*sys.orig_argv, module], self._environment)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        flush: Callable[[], None] | None = getattr(stream, "flush", None)
        if flush is not None:
            flush()
