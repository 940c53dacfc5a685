"""Hosts on two machines with a cable between them, which is pulled and plugged in again."""

from __future__ import annotations

from pathlib import Path

from tests.hosts.cables import cabled, survives
from tests.hosts.conftest import Hosts, pulled


def test_a_pulled_cable_loses_nothing_and_repeats_nothing(hosts: Hosts) -> None:
    assert pulled(hosts, seed=1, lost_after_s=30.0, pulled_s=0.0) > 1


def test_a_run_with_state_on_both_machines_survives_a_pulled_cable(tmp_path: Path) -> None:
    survives(tmp_path, pulled_s=1.0)


def test_a_machine_that_is_gone_for_good_is_replaced_and_ends_its_workers(tmp_path: Path) -> None:
    with cabled(tmp_path, lost_after_s=4.0) as (machines, run, agents):
        far = ["--tags", "far", "--slots"]
        lost = agents.join(run.token, *far, "8", name="lost", before=machines.on(1))
        there = run.line()
        near = agents.join(run.token, *far, "2", name="near", before=machines.on(0))
        near.says("has joined")
        machines.pull()
        run.until_not(there)
        assert "is lost: " in lost.ends(1)
        run.ends()
        near.ends(0)
