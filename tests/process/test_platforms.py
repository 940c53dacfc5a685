"""A Python without its global interpreter lock is refused, here and in a worker."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

import minipipe as mp
from minipipe.process import platforms


def test_a_python_without_the_interpreter_lock_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    pline = mp.PipeLine([mp.Source(range(5)), mp.Transform(lambda x: x + 1)])
    with pytest.raises(mp.BuildError, match="PYTHON_GIL=1"):
        pline.run()
    assert list(pline.build(inline=True)) == [1, 2, 3, 4, 5]
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True)
    assert sorted(pline.build(inline=False)) == [1, 2, 3, 4, 5]


def test_a_worker_whose_interpreter_has_no_lock_says_so(tmp_path: Path) -> None:
    site = "import sys\nsys._is_gil_enabled = lambda: False\n"
    (tmp_path / "sitecustomize.py").write_text(site)
    unlocked = mp.Transform(abs, "unlocked", env={"PYTHONPATH": str(tmp_path)})
    with pytest.raises(mp.BuildError, match="PYTHON_GIL=1") as caught:
        list(mp.PipeLine([mp.Source(range(5)), unlocked]))
    assert "in its start of segment 'unlocked'" in "".join(caught.value.__notes__)


def test_the_workers_of_a_build_that_can_do_without_get_the_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert platforms.with_interpreter_lock({"A": "b"}) == {"A": "b"}
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: 1)
    assert platforms.with_interpreter_lock({"A": "b"}) == {"A": "b", "PYTHON_GIL": "1"}
    assert platforms.with_interpreter_lock({"PYTHON_GIL": "0"}) == {"PYTHON_GIL": "0"}
