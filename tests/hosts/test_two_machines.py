"""Hosts on two machines with a cable between them, which is pulled and plugged in again."""

from __future__ import annotations

from tests.hosts.conftest import Hosts, pulled


def test_a_pulled_cable_loses_nothing_and_repeats_nothing(hosts: Hosts) -> None:
    assert pulled(hosts, seed=1, lost_after_s=30.0, pulled_s=0.0) > 1
