"""An exception that comes while run() starts the processes leaves no run behind."""

from __future__ import annotations

import itertools

import pytest

import minipipe as mp
from minipipe.supervisor.run import Run


class FromAHandler(Exception):
    """What a signal handler of the user's raises."""


def test_what_a_signal_handler_raises_during_run_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(run: Run) -> None:
        run._thread.start()
        raise FromAHandler

    monkeypatch.setattr(Run, "start", interrupted)
    pline = mp.PipeLine([mp.Source(itertools.count()), mp.Sink(abs)])
    with pytest.raises(FromAHandler):
        pline.run()
    monkeypatch.undo()
    assert list(mp.PipeLine([mp.Source(range(3)), mp.Transform(abs)])) == [0, 1, 2]


def test_statistics_are_iterated_by_worker() -> None:
    pline = mp.PipeLine([mp.Source(range(3)), mp.Transform(abs, "abs"), mp.Sink(abs, "sink")])
    pline.run().close()
    assert [worker.worker for worker in pline.stats()] == ["Source", "abs", "sink"]
