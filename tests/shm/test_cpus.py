"""How many CPUs there are, on machines that are directories."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minipipe.process import cpus
from minipipe.shm import copying, usable_cpus
from tests.shm.test_limits import machine

NESTED = "0::/pod/box\n"


@pytest.fixture(autouse=True)
def sixty_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))


def v2(**quotas: str) -> dict[str, str]:
    files = {f"sys/fs/cgroup/{path}": quota for path, quota in quotas.items()}
    return {"proc/self/cgroup": NESTED, **files}


def v1(mount: str, quota: str, period: str = "100000\n") -> dict[str, str]:
    return {
        "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n2:memory:/docker/abc\n0::/\n",
        f"sys/fs/cgroup/{mount}/cpu.cfs_quota_us": quota,
        f"sys/fs/cgroup/{mount}/cpu.cfs_period_us": period,
    }


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (v2(**{"cpu.max": "100000 100000\n"}), 1),  # the top, as a container sees it
        (v2(**{"pod/cpu.max": "350000 100000\n"}), 3),
        (v2(**{"pod/box/cpu.max": "800000 100000\n", "pod/cpu.max": "200000 100000\n"}), 2),
        (v2(**{"pod/box/cpu.max": "200000 100000\n", "pod/cpu.max": "max 100000\n"}), 2),
        (v2(**{"pod/box/cpu.max": "20000 100000\n"}), 1),  # a fifth of a CPU
        (v2(**{"pod/box/cpu.max": "max 100000\n"}), 64),
        (v2(**{"pod/box/cpu.max": "9900000 100000\n"}), 64),
        (v2(**{"unified/pod/cpu.max": "300000 100000\n"}), 3),
        (v1("cpu/docker/abc", "400000\n"), 4),
        (v1("cpu,cpuacct/docker", "100000\n", "50000\n"), 2),
        (v1("cpu", "-1\n"), 64),
        (v1("memory", "100000\n"), 64),
        ({}, 64),
        ({"proc/self/cgroup": NESTED, "sys/fs/cgroup/pod/cpu.max": "nonsense\n"}, 64),
    ],
)
def test_a_containers_quota_bounds_the_cpus(
    tmp_path: Path, files: dict[str, str], expected: int
) -> None:
    assert usable_cpus(machine(tmp_path, files)) == expected


def test_the_affinity_bounds_them_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5})
    assert usable_cpus(machine(tmp_path, v2(**{"cpu.max": "800000 100000\n"}))) == 2


def test_where_nobody_tells_the_affinity_it_is_the_machines_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(pid: int) -> set[int]:
        raise PermissionError(1, "refused")

    monkeypatch.setattr(os, "sched_getaffinity", refuse)
    assert usable_cpus(tmp_path) == (os.cpu_count() or 1)


@pytest.mark.parametrize(("quota", "threads"), [("100000", 0), ("400000", 2), ("max", 3)])
def test_a_copy_has_no_more_threads_than_the_quota_can_feed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, threads: int
) -> None:
    root = machine(tmp_path, v2(**{"cpu.max": f"{quota} 100000\n"}))
    monkeypatch.setattr(copying, "usable_cpus", lambda: cpus.usable_cpus(root))
    started: list[Any] = []
    monkeypatch.setattr(copying, "start_new_thread", lambda *args: started.append(args))
    contents = np.ones(8_000_000, np.uint8)
    target = np.zeros_like(contents)
    copying.copy(target, contents)
    assert target.all()
    assert len(started) == threads
