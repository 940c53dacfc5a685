"""How many CPUs this process can keep busy: by affinity, or by the container's quota if less."""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path

from minipipe.process.cgroups import groups

_ROOT = Path("/")


def usable_cpus(root: Path = _ROOT) -> int:
    """How many CPUs' worth of time this process gets, at least 1.

    A quota (`docker run --cpus=1`, a Kubernetes limit) leaves the affinity as it is: a process
    that may use one CPU's time is still scheduled on all 64, and threads for all of them only wait
    for each other.  A part of a CPU counts for nothing.
    """
    try:
        cpus = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # macOS has none, a container may refuse it
        cpus = os.cpu_count() or 1
    return max(1, int(min(cpus, _quota(root))))


def idle_cpu_s() -> float | None:
    """Seconds that the CPUs of this process were idle since the machine's start, added up."""
    try:
        ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        rows = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        ticks = sum(int(row[4]) + int(row[5]) for row in rows if row[0] in ours)
        return ticks / os.sysconf("SC_CLK_TCK")
    except (AttributeError, OSError, IndexError, ValueError):
        return None  # this is no Linux, or it is not shown here


def core_wait_s(pid: int | None = None) -> float:
    """Seconds that the main thread of a process was ready to run, and had no core.

    (The kernel's `run_delay`, Documentation/scheduler/sched-stats.rst; 0 where it keeps none.)
    """
    try:
        return int(Path(f"/proc/{pid or 'self'}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


@cache
def _quota(root: Path) -> float:
    """CPUs by the tightest quota of all control groups around this process; read once."""
    return min((_quota_of(*group) for group in groups(root, "cpu")), default=math.inf)


def _quota_of(group: Path, version: int) -> float:
    try:
        if version == 2:
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text()
            period = (group / "cpu.cfs_period_us").read_text()
        cpus = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf  # no such file, or "max"
    return cpus if cpus > 0 else math.inf  # -1: none
