"""Agents on a cluster of Ray with two nodes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import run_directories, wait_until
from tests.ray.conftest import ROOT, START_S, Cluster, agents

BEGIN = """
import os, signal, sys, threading, time
import minipipe as mp
import minipipe.ray

def work(item):
    time.sleep(0.02)
    return item, os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES")

def pipeline(count, **options):
    options = {"on": "ray", "n_processes": 4, **options}
    return mp.PipeLine([mp.Source(range(count)), mp.Transform(work, "work", **options)])
"""


@pytest.fixture(autouse=True)
def nothing_is_left(cluster: Cluster) -> Iterator[None]:
    """In place of that of all tests: Ray keeps processes as it likes, but no agent, and no room."""
    before = run_directories()
    yield
    wait_until(lambda: not agents(), "all agents to end")
    wait_until(lambda: run_directories() <= before, "their directories to be removed")
    assert cluster.groups() == []


def test_agents_on_both_nodes_work_for_a_run_and_leave_with_it(cluster: Cluster) -> None:
    program = """
pline = pipeline(200, n_processes=2, gpus=1).run(bind="tcp://127.0.0.1:0")
with minipipe.ray.agents(pline, n=2, num_cpus=2, num_gpus=1, tags=["ray"]) as agents:
    assert len(agents) == 2
    found = list(pline)
    assert agents.wait(60) is agents and agents.running == 0, agents
assert sorted(item for item, *_ in found) == list(range(200))
print({shown for *_, shown in found}, len({pid for _, pid, _ in found}))
print(sorted({worker.host for worker in pline.stats().workers} - {"", "local"}).__len__())
agents.stop()
"""
    shown = cluster.run(BEGIN + program).stdout.splitlines()
    assert shown[-2:] == ["{'0'} 2", "2"]


def test_agents_and_actors_that_are_killed_are_replaced(cluster: Cluster) -> None:
    program = """
pline = pipeline(400).run(bind="tcp://127.0.0.1:0")
with minipipe.ray.agents(pline, n=2, num_cpus=2, tags=["ray"]) as agents:
    first = {actor: ray.get(actor.pid.remote()) for actor in agents._actors}
    found = []
    for item, *_ in pline:
        found.append(item)
        if len(found) == 20:
            os.kill(first[agents._actors[0]], signal.SIGKILL)
        if len(found) == 60:
            ray.kill(agents._actors[1], no_restart=False)
    assert sorted(found) == list(range(400))
    now = {actor: ray.get(actor.pid.remote()) for actor in agents._actors}
    assert not set(first.values()) & set(now.values()), (first, now)
    agents.wait(60)
print("done")
"""
    assert cluster.run(BEGIN + program).stdout.endswith("done\n")


def test_agents_may_leave_while_the_run_goes_on(cluster: Cluster) -> None:
    program = """
pline = pipeline(300, on={"ray": 1, "local": 1}, n_processes=2).run(bind="tcp://127.0.0.1:0")
found = []
agents = minipipe.ray.agents(pline, num_cpus=1, tags=["ray"])
pids = set()
for item, pid, _ in pline:
    found.append(item)
    pids.add(pid)
    if len(pids) == 2 and agents.running:
        agents.stop()
assert sorted(found) == list(range(300)), found
agents.stop()
print("done")
"""
    assert cluster.run(BEGIN + program).stdout.endswith("done\n")


def test_what_ray_has_no_room_for_is_said(cluster: Cluster) -> None:
    program = """
pline = pipeline(3, on="any").run(bind="tcp://127.0.0.1:0")
for asked in ({"num_cpus": 64}, {"n": 2, "strategy": "STRICT_PACK", "num_cpus": 2}):
    try:
        minipipe.ray.agents(pline, timeout_s=1, **asked)
    except mp.StartError as error:
        print(error)
print(len(list(pline)))
"""
    lines = cluster.run(BEGIN + program).stdout.splitlines()[-3:]
    has = r"[\d.]+ has 3 CPUs and 1 GPU"
    asked = r"no room within 1 s for 1 agent of 64 CPUs \(SPREAD\)"
    assert re.search(rf"{asked}: {has}; {has}; free are \d CPUs", lines[0]), lines
    assert "No node has 64 CPUs. timeout_s= of minipipe.ray.agents says how long" in lines[0]
    assert "STRICT_PACK asks for one node for all, and the largest has room for 1" in lines[1]
    assert lines[2] == "3"


def test_ray_is_not_begun_by_the_way(cluster: Cluster) -> None:
    program = """
pline = pipeline(3, on="any").run(bind="tcp://127.0.0.1:0")
try:
    minipipe.ray.agents(pline)
except mp.LifecycleError as error:
    print(error)
print(len(list(pline)))
"""
    done = cluster.run("ray.shutdown()\n" + BEGIN + program)
    lines = done.stdout.splitlines()[-2:]
    assert lines[0].startswith("minipipe.ray.agents before Ray was initialised: ray.init('auto')")


def test_a_program_that_is_killed_leaves_no_agent_behind(cluster: Cluster) -> None:
    program = """
pline = pipeline(100_000).run(bind="tcp://127.0.0.1:0")
agents = minipipe.ray.agents(pline, n=2, num_cpus=2, tags=["ray"])
for item in pline:
    print("going", flush=True)
"""
    begin = f"import ray\nray.init({cluster.address!r}, log_to_driver=False)\n"
    command = [sys.executable, "-c", begin + BEGIN + program]
    driver = subprocess.Popen(command, env=cluster.environ, stdout=subprocess.PIPE, text=True)
    try:
        assert driver.stdout is not None
        assert "going" in driver.stdout.readline()
        assert len(agents()) == 2
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait(START_S)
        if driver.stdout is not None:
            driver.stdout.close()


def test_the_example_runs(cluster: Cluster) -> None:
    folder = ROOT / "examples" / "cluster"
    done = subprocess.run(
        [sys.executable, folder / "ray_agents.py"],
        env={**cluster.environ, "RAY_ADDRESS": cluster.address, "CHUNKS": "8"},
        capture_output=True,
        text=True,
        timeout=START_S,
    )
    assert done.returncode == 0, done.stderr
    assert "trained on 2048 rows" in done.stdout
