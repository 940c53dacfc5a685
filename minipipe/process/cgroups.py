"""The control groups that this process is in: where a container's limits stand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_TOP = "sys/fs/cgroup"
_BESIDE_VERSION_1 = "sys/fs/cgroup/unified"


def groups(root: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """Yields each group that limits this process, the innermost first, and its version (1 or 2).

    Args:
        root: the machine's root directory.
        controller: `memory` or `cpu`.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            tops, version = [_TOP, _BESIDE_VERSION_1], 2
        elif controller in controllers.split(","):
            # Mounted under the names of all its controllers, and often linked to by each.
            tops, version = (
                list(dict.fromkeys([f"{_TOP}/{controller}", f"{_TOP}/{controllers}"])),
                1,
            )
        else:
            continue
        for top in tops:
            group = root / top / path.lstrip("/")
            # In a container the path may be that of the host, and the top is what one sees.
            while group != root and group.is_relative_to(root / top):
                yield group, version
                group = group.parent
