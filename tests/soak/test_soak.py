"""What a run has at its thousandth moment is what it had at its tenth: counted while it goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.soak.measure import Growth, sample
from tests.soak.runs import many_deaths, many_passes, many_persistent_passes


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coverage in hundreds of processes would take longer than all else."""
    monkeypatch.delenv("COVERAGE_PROCESS_START", raising=False)
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


def test_two_hundred_deaths_leave_nothing_in_who_goes_on(tmp_path: Path) -> None:
    growth, deaths = many_deaths(str(tmp_path), 200, limit_s=90)
    assert deaths >= 40, f"{deaths} deaths in 90 s are too few to say anything"
    assert not growth.piled_up(), f"{growth.piled_up()}\n{growth}"
    assert len(growth.last) == 4


def test_short_passes_leave_nothing_in_the_process_that_makes_them() -> None:
    growth, passes = many_passes(200, limit_s=30)
    assert passes >= 5, f"{passes} passes in 30 s are too few to say anything"
    assert not growth.piled_up(), f"{growth.piled_up()}\n{growth}"


def test_two_hundred_passes_leave_nothing_in_workers_that_stay() -> None:
    growth, passes = many_persistent_passes(200, limit_s=60)
    assert passes >= 50, f"{passes} passes in 60 s are too few to say anything"
    assert not growth.piled_up(), f"{growth.piled_up()}\n{growth}"
    assert len(growth.last) == 5


def test_what_piles_up_is_seen() -> None:
    growth, held = Growth(), []
    try:
        for _ in range(6):
            growth.look([os.getpid()])
            held += [os.open(os.devnull, os.O_RDONLY) for _ in range(5)]
        growth.look([os.getpid()])
        assert list(growth.piled_up()[os.getpid()]) == ["descriptors"]
    finally:
        for fd in held:
            os.close(fd)
    assert sample(2**22 + 1) is None
