"""The first steps of a worker process, right after fork, before it becomes a worker."""

from __future__ import annotations

import _thread
import ctypes
import faulthandler
import gc
import io
import mmap
import multiprocessing
import os
import select
import signal
import sys
import traceback
from collections.abc import Iterable
from functools import cache
from typing import Any, NoReturn

from minipipe.protocol.run.vital_signs import StartStage
from minipipe.stream.page import SIZE_BYTES, Page
from minipipe.worker.breakpoints import forbid_breakpoints
from minipipe.worker.descendants import kill_group
from minipipe.worker.ending import begin_to_end, end_fork, forget_the_parent
from minipipe.worker.log_records import forward_records, leave_handlers_to_the_caller
from minipipe.worker.side_channel import SideChannel
from minipipe.worker.signals import notice_in_forks, take_no_notice
from minipipe.worker.spec import Task, WorkerSpec
from minipipe.worker.stack import write_down_at_signal
from minipipe.worker.tracker import use_tracker
from minipipe.worker.work import Load, work

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15


def die_with_parent(signum: int) -> None:
    """Linux sends this process `signum` when the thread that started it has ended."""
    if sys.platform == "linux":
        _libc().prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0)


def call_itself(name: str) -> None:
    """Linux shows this name in top and ps (15 bytes of it)."""
    if sys.platform == "linux":
        _libc().prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)  # a class of its own for each of these: once in a zygote


def become_forked_worker(
    spec: WorkerSpec,
    load: Load,
    *,
    out: int,
    err: int,
    side: int,
    page: int,
    control: int,
    parent: int,
    tracker: int,
    files: Iterable[Any] = (),
) -> NoReturn:
    """Turns this process, forked from the user's, into a worker; it ends here.

    Args:
        files: that the functor has from there, and writes to; the rest is as of `become_worker`.
    """
    functor: object = None

    def kept() -> Task:
        nonlocal functor
        task = load()
        functor = task.functor
        return task

    code = 1
    try:
        forget_the_parent()
        leave_handlers_to_the_caller()
        use_tracker(tracker)
        code = become_worker(
            spec, kept, out=out, err=err, side=side, page=page, control=control, parent=parent
        )
    finally:
        flush(*files)  # from the parent, so that nobody else does it
        end_fork(code, functor)


def become_worker(
    spec: WorkerSpec,
    load: Load,
    *,
    out: int,
    err: int,
    side: int,
    page: int,
    control: int,
    parent: int,
) -> int:
    """Turns this freshly forked process into a worker.

    Returns:
        The exit code, when its work is done and its threads have ended.

    Args:
        out, err: pipes to the caller, for what the functor prints.
        side: one for what it logs.
        page: the shared memory of the status page.
        control: a socket whose other end only the supervisor holds.
        parent: the process that forked this one.
    """
    code, shown = 1, None
    try:
        gc.freeze()  # what was inherited is not ours to collect (sockets, and shared pages)
        _begin_group()
        die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        write_down_at_signal(page)  # first of all: what hangs after a fork is to be seen
        shown = Page(mmap.mmap(page, SIZE_BYTES))
        shown.start = StartStage.FORKED
        _standard_streams(out, err)
        channel = SideChannel(side)
        forward_records(channel, spec.name, spec.log_levels)
        if spec.displays:
            _forward_displays(channel)
        _plain_signals()
        faulthandler.enable()
        call_itself(spec.name)
        # (One of `threading` would be waited for until it runs; and nobody is to find it.)
        _thread.start_new_thread(_follow, (control,))
        sys.setswitchinterval(0.001)
        sys.path[:] = spec.sys_path
        sys.argv[:] = spec.argv
        if spec.cwd is not None:
            os.chdir(spec.cwd)
        multiprocessing.current_process().authkey = spec.authkey
        forbid_breakpoints()
        work(spec, load, shown, control)
        code = 0
    except BaseException:  # the process ends; the caller sees it on stderr, and the code
        traceback.print_exc()
    if shown is not None:
        begin_to_end(shown, page)
    return code


def _forward_displays(channel: SideChannel) -> None:
    from minipipe.worker.displays import forward_displays  # of notebooks only

    forward_displays(channel)


def _begin_group() -> None:
    """This process has a group of its own: Ctrl-C in the terminal is the supervisor's business."""
    try:
        os.setpgid(0, 0)
    except OSError:
        pass  # refused (seccomp): then what the functor starts is not ended with it


def end_at_once() -> NoReturn:
    """This process is gone, and what its functor has started with it."""
    if os.getpgrp() == os.getpid():
        kill_group(os.getpid(), but=os.getpid())
    os.kill(os.getpid(), signal.SIGKILL)  # its group is another one's
    raise AssertionError("SIGKILL was sent")


def flush(*streams: Any) -> None:
    """What was printed, or written to files, is there afterwards."""
    for stream in streams:
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # the caller is gone, or the functor closed it, or set it to None


def _follow(control: int) -> None:
    """Ends the process when the supervisor has: its end of the socket is closed then.

    Whatever the other threads do: they read what comes by it, and may never come to its end.
    """
    poll = select.poll()
    poll.register(control, select.POLLHUP)  # and not for what comes
    while not poll.poll():
        pass
    end_at_once()


def _standard_streams(out: int, err: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
        if source > 2:
            os.close(source)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - lives as long as the process
    sys.stdout = _line_buffered(1)
    sys.stderr = _line_buffered(2)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]


def _line_buffered(fd: int) -> io.TextIOWrapper:
    return open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _plain_signals() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    take_no_notice()
    notice_in_forks()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
