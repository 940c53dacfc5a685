"""The hash of texts: one for all workers of a run, and the same again with the same seed."""

from __future__ import annotations

import pytest

import minipipe as mp


def hashed(x: list[int]) -> list[int]:
    return [*x, hash("key")]


def hashes(seed: int | None, **options: object) -> list[int]:
    pline = mp.PipeLine([mp.Source([[]]), mp.Transform(hashed), mp.Transform(hashed, **options)])
    pline.add(mp.Transform(hashed), n_processes=2)  # it has another environment: BLAS threads
    pline.run(seed=seed)
    (found,) = list(pline)
    return found


@pytest.fixture(autouse=True)
def no_seed_of_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)


def test_all_workers_of_a_run_have_the_same_hashes() -> None:
    first, second, third = hashes(None)
    assert first == second == third


def test_a_seed_repeats_the_hashes() -> None:
    assert hashes(7) == hashes(7)
    assert hashes(7) != hashes(8)


def test_the_users_own_hash_seed_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = hashes(7, env={"PYTHONHASHSEED": "3"})
    assert first == third != second
    monkeypatch.setenv("PYTHONHASHSEED", "3")
    assert set(hashes(7)) == {second}
