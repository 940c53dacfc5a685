"""The processes of one measurement, their memory and their processor time, from /proc (Linux).

They are told by a mark in the environment, which whatever a peer starts inherits, also what has
lost its parent.  Needs the standard library only: it runs in every peer's environment.
"""

from __future__ import annotations

import os
from pathlib import Path

MARK = "MINIPIPE_BENCHMARK_RUN"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def processes(mark: str) -> set[int]:
    """The pids of all processes that carry the mark."""
    wanted = f"{MARK}={mark}".encode()
    found = set()
    for entry in os.listdir(_PROC):
        if not entry.isdigit():
            continue
        try:
            environment = (_PROC / entry / "environ").read_bytes()
        except OSError:  # it has ended, or is another user's
            continue
        if wanted in environment.split(b"\0"):
            found.add(int(entry))
    return found


def cpu_ticks(pids: set[int]) -> dict[int, tuple[int, int]]:
    """For each that is there: its own time, and that of its children that it waited for."""
    found = {}
    for pid in pids:
        try:
            stat = (_PROC / str(pid) / "stat").read_text()
        except OSError:
            continue
        # The name, in brackets, may contain spaces; utime, stime, cutime, cstime: proc(5).
        user, system, child_user, child_system = map(int, stat.rpartition(")")[2].split()[11:15])
        found[pid] = (user + system, child_user + child_system)
    return found


def spent_s(before: dict[int, tuple[int, int]], after: dict[int, tuple[int, int]]) -> float | None:
    """User and system time between two looks; None if some of it cannot be known.

    That is if a process has ended and nobody waited for it: its time shows nowhere (Ray's).
    """
    ended = [sum(times) for pid, times in before.items() if pid not in after]
    collected = sum(children - before.get(pid, (0, 0))[1] for pid, (_, children) in after.items())
    if collected < sum(ended) - len(ended):  # each is rounded down to a tick
        return None
    return (sum(map(sum, after.values())) - sum(map(sum, before.values()))) / _TICKS_PER_S


def pss_bytes(pids: set[int]) -> int:
    """Their memory, pages that several of them map counted once in all."""
    total_kib = 0
    for pid in pids:
        try:
            rollup = (_PROC / str(pid) / "smaps_rollup").read_text()
        except OSError:
            continue
        total_kib += sum(
            int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")
        )
    return total_kib * 1024
