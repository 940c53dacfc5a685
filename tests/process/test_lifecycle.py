"""The table of the lifecycle: which call does what in which state."""

from __future__ import annotations

import logging
import time

import pytest

import minipipe as mp
from minipipe.process.logs import SUMMARY


def looping() -> mp.PipeLine:
    return mp.PipeLine([mp.Source(range(100)), mp.Transform(lambda x: x)])


def sinking(items: int = 10) -> mp.PipeLine:
    return mp.PipeLine([mp.Source(range(items)), mp.Sink(lambda x: time.sleep(0.01), "save")])


def test_build_and_run_return_the_pipeline_and_build_may_be_repeated() -> None:
    pline = looping()
    assert not pline.built
    assert pline.build() is pline
    assert pline.build() is pline
    assert pline.built
    assert sorted(pline.run()) == list(range(100))


def test_run_builds_if_need_be() -> None:
    pline = sinking()
    assert pline.run() is pline
    assert pline.close() == {}


def test_close_without_run_is_an_error() -> None:
    with pytest.raises(mp.LifecycleError, match=r"not built: call run\(\) first"):
        sinking().close()
    with pytest.raises(mp.LifecycleError, match=r"is built: call run\(\) first"):
        sinking().build().close()


def test_a_running_pipeline_refuses_add_build_run_and_reset() -> None:
    pline = sinking(200).run()
    with pytest.raises(mp.LifecycleError, match="while the pipeline is running since"):
        pline.run()
    with pytest.raises(mp.LifecycleError, match="running since"):
        pline.build()
    with pytest.raises(mp.LifecycleError, match="running since"):
        pline.reset()
    with pytest.raises(mp.LifecycleError, match="is running, so Sink 'x' cannot be added"):
        pline.add(mp.Sink(print, "x"))
    pline.stop()
    pline.close()


def test_add_after_build_is_an_error() -> None:
    with pytest.raises(mp.LifecycleError, match="add all segments before build"):
        looping().build().add(mp.Sink(print))


def test_a_finished_pipeline_runs_again_and_loops_again() -> None:
    pline = looping()
    assert list(pline) == list(pline) == list(range(100))
    again = sinking().run()
    again.close()
    again.run()
    assert again.close() == {}


def test_functors_are_captured_anew_in_each_run() -> None:
    factor = [1]
    pline = mp.PipeLine([mp.Source([1, 2]), mp.Transform(lambda x: x * factor[0])])
    assert list(pline) == [1, 2]
    factor[0] = 10
    assert list(pline) == [10, 20]


def test_the_loop_reads_a_run_that_was_started_before() -> None:
    pline = looping().run()
    assert list(pline) == list(range(100))


def test_a_second_iterator_at_once_is_an_error() -> None:
    pline = looping()
    first = iter(pline)
    next(first)
    with pytest.raises(mp.LifecycleError, match="a loop over this pipeline is going on"):
        iter(pline)
    assert list(first) == list(range(1, 100))


def test_a_pipeline_that_ends_in_a_sink_cannot_be_iterated() -> None:
    with pytest.raises(mp.LifecycleError, match="ends in sink 'save'"):
        iter(sinking())


def test_an_open_end_that_nobody_read_is_told_at_once() -> None:
    pline = looping().run()
    with pytest.raises(mp.LifecycleError, match="'Transform' puts out has no consumer: add a Sink"):
        pline.close()


def test_close_is_the_same_again() -> None:
    class Term:
        def run(self, item):
            pass

        def local_term(self):
            return 5

    pline = mp.PipeLine([mp.Source([1]), mp.Sink(Term(), "t")]).run()
    assert pline.close() == pline.close() == {"t": 5}


def test_close_with_a_timeout_says_that_the_run_goes_on() -> None:
    pline = mp.PipeLine([mp.Source([1]), mp.Sink(lambda x: time.sleep(1.5), "save")]).run()
    with pytest.raises(TimeoutError, match=r"not ended within 0.1 s"):
        pline.close(timeout_s=0.1)
    pline.close()


def test_reset_forgets_the_results() -> None:
    pline = sinking().run()
    pline.close()
    pline.reset()
    with pytest.raises(mp.LifecycleError, match="is built"):
        pline.close()


def test_stop_of_a_pipeline_that_does_not_run_does_nothing() -> None:
    pline = sinking()
    pline.stop()
    pline.build().stop()
    pline.run()
    pline.close()
    pline.stop()
    assert pline.stats()["save"].items_in == 10


def test_with_runs_and_closes() -> None:
    with sinking() as pline:
        assert pline.stats().state == "running"
    assert pline.stats()["save"].items_in == 10


def test_with_stops_when_an_exception_passes() -> None:
    with pytest.raises(ValueError, match="own"), sinking(10_000) as pline:
        raise ValueError("own")
    assert pline.stats()["save"].items_in < 10_000


def test_with_around_a_loop_is_clean() -> None:
    with looping() as pline:
        assert list(pline) == list(range(100))


def test_enumerate_zip_and_next_work() -> None:
    pline = looping()
    assert [i for i, _ in enumerate(pline)] == list(range(100))
    assert next(iter(pline)) == 0
    assert list(zip(range(3), pline, strict=False)) == [(0, 0), (1, 1), (2, 2)]


def test_two_pipelines_at_once_do_not_mix() -> None:
    first, second = looping(), mp.PipeLine([mp.Source(range(1000, 1100))])
    one, two = iter(first), iter(second)
    assert [next(one) for _ in range(50)] == list(range(50))
    assert list(two) == list(range(1000, 1100))
    assert list(one) == list(range(50, 100))


def test_one_summary_line_is_logged_about_a_run(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(SUMMARY, "minipipe"):
        sinking().run().close()
    (record,) = (r for r in caplog.records if r.name == "minipipe")
    assert "finished after" in record.message
    assert "Source 10 out; save 10 in" in record.message


def test_info_shows_the_ends_of_streams_and_workers(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "minipipe"):
        sinking().build(log_lvl="info").run().close()
    for line in ("Source: End of stream", "save: End of stream", "save: Local termination"):
        assert line in caplog.text
    logging.getLogger("minipipe").setLevel(logging.NOTSET)
