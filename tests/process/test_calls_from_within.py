"""What a functor asks of its own pipeline reaches nobody: an error says so, and what to do."""

from __future__ import annotations

import signal
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import minipipe as mp

SAID = r"in a functor of the pipeline \(worker 'work'\): only the process that has called run\(\)"
CALLS: dict[str, Callable[[mp.PipeLine], object]] = {
    "stop()": lambda pline: pline.stop(),
    "close()": lambda pline: pline.close(),
    "run()": lambda pline: pline.run(),
    "a loop over the output": lambda pline: next(iter(pline)),
}


@pytest.mark.parametrize("inline", (False, True), ids=("processes", "inline"))
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("forked", (False, True), ids=("pickled", "forked"))
def test_a_call_from_a_functor_is_an_error(call: str, inline: bool, forked: bool) -> None:
    lock = threading.Lock() if forked else None
    made: list[mp.PipeLine] = []

    def work(item: int) -> int:
        if item == 2:
            with lock or threading.Lock():
                CALLS[call](made[0])
        return item

    pline = mp.PipeLine([mp.Source(range(9)), mp.Transform(work, "work"), mp.Transform(abs)])
    made.append(pline)
    for _ in range(2):  # a second pass has had a first one
        pline.build(inline=inline)
        with pytest.raises(mp.LifecycleError, match=SAID) as caught:
            list(pline)
        assert str(caught.value).startswith(call)


def test_a_module_that_workers_import_anew_has_a_pipeline_of_its_own_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "with_a_pipeline.py").write_text(
        textwrap.dedent(
            """
            import minipipe as mp

            def work(item):
                pline.stop()

            pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(work, "work")])
            """
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    import with_a_pipeline

    with pytest.raises(mp.LifecycleError, match=SAID):
        with_a_pipeline.pline.run().close()
    del sys.modules["with_a_pipeline"]


@pytest.mark.parametrize("inline", (False, True), ids=("processes", "inline"))
def test_another_pipeline_may_run_in_a_functor(inline: bool) -> None:
    inner = mp.PipeLine([mp.Source(range(3)), mp.Transform(abs)])

    def work(item: int) -> list[int]:
        inner.build(inline=True)
        inner.run().stop()
        return list(inner)

    pline = mp.PipeLine([mp.Source([1]), mp.Transform(work, "work")]).build(inline=inline)
    assert list(pline) == [[0, 1, 2]]


def test_a_signal_handler_that_interrupts_an_inline_functor_may_stop_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []

    def work(item: int) -> None:
        seen.append(item)
        if item == 2:
            signal.raise_signal(signal.SIGUSR1)

    pline = mp.PipeLine([mp.Source(range(10**6)), mp.Sink(work)]).build(inline=True)
    for handler in (lambda number, frame: pline.stop(), lambda *given: pline.stop()):
        before = signal.signal(signal.SIGUSR1, handler)
        try:
            pline.run().close()
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert len(seen) < 100
        seen.clear()
