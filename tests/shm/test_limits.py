"""How much memory there is, on machines that are directories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minipipe.shm import available_bytes, memory_limit_bytes, oom_kills
from tests.shm.harness import MIB

PHYSICAL = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = {"proc/meminfo": f"MemTotal: 9 kB\nMemAvailable: {PHYSICAL // 1024} kB\n"}
V2 = {
    "proc/self/cgroup": "0::/pod/box\n",
    "sys/fs/cgroup/pod/memory.max": f"{80 * MIB}\n",
    "sys/fs/cgroup/pod/memory.current": f"{70 * MIB}\n",
    "sys/fs/cgroup/pod/memory.stat": f"anon 1\ninactive_file {20 * MIB}\n",
    "sys/fs/cgroup/pod/box/memory.max": "max\n",
}
V1 = {
    "proc/self/cgroup": "4:cpu,memory:/docker/abc\n0::/\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{80 * MIB}\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{70 * MIB}\n",
    "sys/fs/cgroup/memory/memory.stat": f"cache 1\ntotal_inactive_file {20 * MIB}\n",
}


@pytest.mark.parametrize("files", [V1, V2], ids=["version 1", "version 2"])
def test_the_limit_of_the_container_is_honoured(tmp_path: Path, files: dict[str, str]) -> None:
    root = machine(tmp_path, {**MEMINFO, **files})
    assert memory_limit_bytes(root) == 80 * MIB
    assert available_bytes(root) == 30 * MIB


def test_without_a_container_it_is_the_physical_memory(tmp_path: Path) -> None:
    root = machine(tmp_path, {**MEMINFO, "proc/self/cgroup": "0::/\n"})
    assert memory_limit_bytes(root) == PHYSICAL
    assert available_bytes(root) == PHYSICAL // 1024 * 1024


def test_a_machine_that_says_nothing_has_nothing_to_spare(tmp_path: Path) -> None:
    assert memory_limit_bytes(tmp_path) == PHYSICAL
    assert available_bytes(tmp_path) == 0


@pytest.mark.parametrize(
    ("files", "kills"),
    [
        ({**V2, "sys/fs/cgroup/pod/box/memory.events": "oom 4\noom_kill 3\n"}, 3),
        ({**V2, "sys/fs/cgroup/pod/memory.events": "oom_kill 2\n"}, 2),
        ({**V1, "sys/fs/cgroup/memory/memory.oom_control": "under_oom 0\noom_kill 5\n"}, 5),
        ({"proc/self/cgroup": "0::/\n", "proc/vmstat": "pgfault 9\noom_kill 7\n"}, 7),
        ({}, None),
    ],
)
def test_kills_for_want_of_memory_are_counted(
    tmp_path: Path, files: dict[str, str], kills: int | None
) -> None:
    assert oom_kills(machine(tmp_path, files)) == kills


def test_this_machine_has_memory() -> None:
    assert 0 < available_bytes() <= PHYSICAL
    assert 0 < memory_limit_bytes() <= PHYSICAL
