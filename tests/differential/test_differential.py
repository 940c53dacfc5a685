"""What inline gives is what processes give: held to it on graphs drawn at random."""

from __future__ import annotations

from typing import Any

import pytest

import minipipe.inline.connections
import minipipe.inline.skipping
import minipipe.inline.stage
from tests.differential.compare import compare

SEEDS = range(30)


@pytest.mark.parametrize("seed", SEEDS)
def test_inline_and_processes_give_the_same(seed: int) -> None:
    report = compare(seed)
    assert not report.differences, f"{report.plan}: {report.differences}"


def _lose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is sent, every fourth item does not arrive."""
    put, count = minipipe.inline.connections.Outlet.put, iter(range(10**9))

    def lossy(*args: Any) -> Any:
        return [one for one in put(*args) if next(count) % 4]

    monkeypatch.setattr(minipipe.inline.connections.Outlet, "put", lossy)


def _share(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes from one segment to the next is no copy."""
    monkeypatch.setattr(minipipe.inline.connections, "_copy", lambda item: item)


def _write_no_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minipipe.inline.skipping, "write", lambda *args: None)


def _tolerate(monkeypatch: pytest.MonkeyPatch) -> None:
    """No number of failures is too large."""
    monkeypatch.setattr(minipipe.inline.stage.Stage, "judge_failures", lambda *a, **kw: None)


PLANTS = [
    (_lose, range(5)),
    (_share, range(10)),
    (_write_no_letter, range(9)),
    (_tolerate, [7, 38]),
]


@pytest.mark.parametrize(("plant", "seeds"), PLANTS)
def test_a_difference_is_noticed(plant: Any, seeds: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    assert any(compare(seed).differences for seed in seeds), "inline differs, and nobody notices"
