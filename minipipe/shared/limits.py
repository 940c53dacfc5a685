"""How much memory there is: that of the machine, or of the container if that is less."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_V1, _V2 = "sys/fs/cgroup/memory", "sys/fs/cgroup"
_V2_BESIDE_V1 = "sys/fs/cgroup/unified"


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
    groups = [group for group, _ in _groups(root)]
    files = [group / name for group in groups for name in ("memory.events", "memory.oom_control")]
    counts = [_field(file, "oom_kill", -1) for file in files] + [
        _field(root / "proc/vmstat", "oom_kill", -1)
    ]
    known = [count for count in counts if count >= 0]
    return known[0] if known else None


def _limits(root: Path) -> Iterator[tuple[Path, int]]:
    """Yields each control group with a limit on memory that this process is in."""
    for group, name in _groups(root):
        limit = _number(group / name)
        if limit is not None:
            yield group, limit


def _groups(root: Path) -> Iterator[tuple[Path, str]]:
    """Yields each control group for memory that this process is in, and its file for the limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            tops, name = [_V2, _V2_BESIDE_V1], "memory.max"
        elif "memory" in controllers.split(","):
            tops, name = [_V1], "memory.limit_in_bytes"
        else:
            continue
        for top in tops:
            group = root / top / path.lstrip("/")
            # In a container the path may be that of the host, and the top is what one sees.
            while group != root and group.is_relative_to(root / top):
                yield group, name
                group = group.parent


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
