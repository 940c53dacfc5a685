"""How much memory there is: that of the machine, or of the container if that is less."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from minipipe.process.cgroups import groups


def memory_limit_bytes(root: Path = Path("/")) -> int:
    """Physical memory, or the limit of the control groups that this process is in if it is less."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([total, *(limit for _, limit in _limits(root))])


def available_bytes(root: Path = Path("/")) -> int:
    """What could be allocated now without swapping or killing anyone.

    Anonymous files know no limit of their own: on a full machine the kernel kills somebody before
    posix_fallocate fails.
    """
    found = [_field(root / "proc/meminfo", "MemAvailable:") * 1024]
    for group, limit in _limits(root):
        usage = _number(group / "memory.current") or _number(group / "memory.usage_in_bytes") or 0
        stat = group / "memory.stat"
        # Files that were read once count as usage, and are dropped when memory is wanted.
        files = _field(stat, "total_inactive_file") or _field(stat, "inactive_file")
        found.append(max(0, limit - usage + files))
    return min(found)


def oom_kills(root: Path = Path("/")) -> int | None:
    """How often the kernel has killed for want of memory: in our control groups, or anywhere.

    Only whether it rises means anything; None if nothing says so.
    """
    ours = [group for group, _ in groups(root, "memory")]
    files = [group / name for group in ours for name in ("memory.events", "memory.oom_control")]
    counts = [_field(file, "oom_kill", -1) for file in files] + [
        _field(root / "proc/vmstat", "oom_kill", -1)
    ]
    known = [count for count in counts if count >= 0]
    return known[0] if known else None


def _limits(root: Path) -> Iterator[tuple[Path, int]]:
    """Yields each control group with a limit on memory that this process is in."""
    for group, version in groups(root, "memory"):
        limit = _number(group / ("memory.max" if version == 2 else "memory.limit_in_bytes"))
        if limit is not None:
            yield group, limit


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None  # no such file, or "max"


def _field(path: Path, name: str, unknown: int = 0) -> int:
    try:
        with path.open() as lines:
            for line in lines:
                words = line.split()
                if words[0] == name:
                    return int(words[1])
    except (OSError, ValueError, IndexError):
        pass  # then nothing is known of it
    return unknown
