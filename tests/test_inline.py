"""The same pipeline in one thread: what it gives is what the real one gives."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import minipipe as mp


class Count:
    def local_init(self, start: int = 0) -> None:
        self.total, self.pid = start, os.getpid()

    def run(self, item: int) -> int:
        self.total += item
        return self.total

    def local_term(self) -> tuple[int, bool]:
        return self.total, self.pid == os.getpid()


def segments() -> list[mp.Source | mp.Transform | mp.Sink]:
    return [
        mp.Source([1, None, 2, 3, mp.Sentinel, 4], "load"),
        mp.Transform(lambda x: x if x != 2 else None, "trans", n_processes=1),
        mp.Transform(Count(), "count", init_kwargs={"start": 10}),
    ]


def test_inline_and_processes_give_the_same() -> None:
    inline, real = mp.PipeLine(segments()).build(inline=True), mp.PipeLine(segments())
    assert list(inline) == list(real) == [11, 14]
    assert inline.results == real.results == {"count": (14, True)}
    for name in ("load", "trans", "count"):
        a, b = inline.stats()[name], real.stats()[name]
        assert (a.items_in, a.items_out, a.dropped) == (b.items_in, b.items_out, b.dropped)


def test_inline_runs_in_this_very_process() -> None:
    pids = list(
        mp.PipeLine([mp.Source([1]), mp.Transform(lambda x: os.getpid())]).build(inline=True)
    )
    assert pids == [os.getpid()]


def test_the_environment_variable_makes_it_inline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIPIPE_INLINE", "1")
    pids = list(mp.PipeLine([mp.Source([1]), mp.Transform(lambda x: os.getpid())]))
    assert pids == [os.getpid()]


def test_an_exception_passes_as_it_is_with_a_note() -> None:
    pline = mp.PipeLine([mp.Source([1, 0]), mp.Transform(lambda x: 1 // x, "div")])
    pline.build(inline=True)
    with pytest.raises(ZeroDivisionError) as caught:
        list(pline)
    assert "item 1 (0) of segment 'div' (inline)" in caught.value.__notes__[0]


def test_an_ignored_exception_skips_the_item(caplog: pytest.LogCaptureFixture) -> None:
    pline = mp.PipeLine([mp.Source([1, 0, 2]), mp.Transform(lambda x: 2 // x)])
    pline.build(inline=True, ignore_exceptions=ArithmeticError)
    assert list(pline) == [2, 1]
    assert "item 1 was skipped" in caplog.text


def test_a_pipeline_with_a_sink_runs_in_close() -> None:
    seen: list[int] = []
    pline = mp.PipeLine([mp.Source([1, 2]), mp.Sink(seen.append)]).build(inline=True)
    pline.run()
    assert pline.close() == {}
    assert seen == [1, 2]
    pline.run()
    pline.close()
    assert seen == [1, 2, 1, 2]


def test_the_end_of_the_script_does_what_close_would_have_done(tmp_path) -> None:
    path = tmp_path / "script.py"
    path.write_text(
        "import minipipe as mp\n"
        "mp.PipeLine([mp.Source([1, 2]), mp.Sink(print)]).build(inline=True).run()\n"
    )
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=60)
    assert done.stdout == "1\n2\n", done.stderr


def test_a_loop_left_early_has_run_local_term() -> None:
    pline = mp.PipeLine([mp.Source(range(10)), mp.Transform(Count(), "count")]).build(inline=True)
    for item in pline:
        if item > 2:
            break
    assert pline.results == {"count": (3, True)}


def test_an_open_end_that_nobody_reads_is_an_error_here_too() -> None:
    pline = mp.PipeLine([mp.Source(range(10), "load")]).build(inline=True).run()
    with pytest.raises(mp.LifecycleError, match="'load' puts out has no consumer"):
        pline.close()
