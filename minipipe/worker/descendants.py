"""What workers have started themselves: found, ended, collected.

A zygote is the *subreaper* of all that its workers start: whatever has lost its parent becomes its
child (prctl(2)), also in a container whose PID 1 collects nobody.  Resource trackers (of
`multiprocessing`, of loky) are never killed: they remove what others leave behind, and end by
themselves when those are gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator

PR_SET_CHILD_SUBREAPER = 36
UNKNOWN = -1  # in place of a wait status
PASSES = 10  # what is killed may have started something just before
LOOK_S = 0.005


def become_subreaper() -> None:
    """All that comes from this process and loses its parent becomes its child."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> list[int]:
    """The children of this process, adopted ones as well; none where that cannot be seen."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/children") as file:
                found += map(int, file.read().split())
    return found


def is_tracker(pid: int) -> bool:
    """Whether it is a resource tracker, of `multiprocessing` or of loky."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"resource_tracker import main" in file.read()
    except OSError:
        return False


def collect(pid: int, *, is_subreaper: bool = False) -> int | None:
    """The wait status of a child that has ended, or None; ends what it had started itself."""
    try:
        try:
            # Looked at before it is collected: until then its number cannot be anybody else's.
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
            kill_group(pid, is_subreaper=is_subreaper)
            return os.waitpid(pid, 0)[1]
        except ChildProcessError:
            raise
        except (AttributeError, OSError):  # macOS before Python 3.13 has none; or it is refused
            found, status = os.waitpid(pid, os.WNOHANG)
            if not found:
                return None
            kill_group(pid, is_subreaper=is_subreaper)  # at once: numbers go round before reuse
            return status
    except ChildProcessError:
        return UNKNOWN  # somebody else has collected it (SIGCHLD ignored, or a waitpid(-1))


def kill_group(group: int, *, is_subreaper: bool = False, but: int = 0) -> None:
    """SIGKILL to what a worker has started, and to itself if it is there; not to trackers.

    Args:
        is_subreaper: the worker is dead, and what was its is this process's: that is quicker to
            look through than all processes.
        but: one that is spared.
    """
    members = _members(group, children() if is_subreaper else _all())
    if not but and not any(map(is_tracker, members)):
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # no group yet, or (macOS) nothing but a zombie in it
        return
    for _ in range(PASSES):
        doomed = [p for p in _members(group, _all()) if p != but and not is_tracker(p)]
        if not doomed:
            return
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(LOOK_S)


def _all() -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from (int(name) for name in os.listdir("/proc") if name.isdigit())


def _members(group: int, among: Iterator[int] | list[int]) -> list[int]:
    """Those of the group that live."""
    found = []
    for pid in among:
        try:
            with open(f"/proc/{pid}/stat") as file:
                state, _, its_group = file.read().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # it is gone
        if int(its_group) == group and state not in "ZX":
            found.append(pid)
    return found


def collect_adopted(but: dict[int, int] | None = None) -> None:
    """Collects what has ended of what was adopted, without those in `but`, which are our own."""
    for pid in children():
        if but is None or pid not in but:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def end_adopted(timeout_s: float) -> None:
    """Kills and collects all that was adopted; waits for trackers, which end by themselves."""
    until_s = time.monotonic() + timeout_s
    while (there := children()) and time.monotonic() < until_s:
        for pid in there:
            if not is_tracker(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        collect_adopted()
        time.sleep(LOOK_S)


def end_children(timeout_s: float) -> None:
    """Kills and collects what this process has started and what that has; not trackers.

    Also what is in a session of its own.  For a process that is about to end itself: afterwards
    nobody would know whose they were.
    """
    become_subreaper()  # what those leave behind comes here, too
    until_s = time.monotonic() + timeout_s
    while doomed := [pid for pid in children() if not is_tracker(pid)]:
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        collect_adopted()
        if time.monotonic() > until_s:
            return
        time.sleep(LOOK_S)
