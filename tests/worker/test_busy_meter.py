"""What a worker's time goes to, from the calls that are timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.run.vital_signs import Activity
from minipipe.stream import time_use as module
from minipipe.stream.page import Page
from minipipe.stream.time_use import TimeUse
from minipipe.worker.busy_meter import BusyMeter


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now_ns = 1_000

    def monotonic_ns(self) -> int:
        return self.now_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "_clock_ns", clock.monotonic_ns)
    return clock


def times(page: Page) -> dict[str, int]:
    names = ("own", "busy", "starved", "blocked")
    return {name: page.words[module.WORD[f"{name}_ns"]] for name in names}


@given(st.lists(st.tuples(st.sampled_from(list(Activity)[1:]), st.integers(0, 10**12))))
def test_the_parts_are_the_whole(steps: list[tuple[Activity, int]]) -> None:
    clock, page = Clock(), Page()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_clock_ns", clock.monotonic_ns)
        use = TimeUse(page)
        use.enter(Activity.BUSY)  # before its begin nothing counts
        clock.now_ns += 5
        use.begin()
        expected = dict.fromkeys(("own", "busy", "starved", "blocked"), 0)
        current = Activity.OWN
        for activity, ns in steps:
            clock.now_ns += ns
            expected[current.name.lower()] += ns
            use.enter(activity)
            current = activity
        use.end()
        clock.now_ns += 7
        use.enter(Activity.BUSY)
        assert times(page) == expected


def run(
    clock: Clock, meter: BusyMeter, call_ns: Callable[[int], int], strides: int, calls: int
) -> int:
    """Strides of so many calls, each with 1 us of our own work; returns the functor's time."""
    spent = 0

    def functor(i: int) -> None:
        nonlocal spent
        spent += call_ns(i)
        clock.now_ns += call_ns(i)

    for stride in range(strides):
        function: Callable[..., Any] = meter.around(functor)
        for i in range(stride * calls, (stride + 1) * calls):
            clock.now_ns += 1_000
            function(i)
    meter.around(functor)
    return spent


@pytest.mark.parametrize("call_ns", [100, 2_000, 40_000, 60_000, 5_000_000])
def test_what_is_not_timed_is_known_from_what_is(clock: Clock, call_ns: int) -> None:
    page = Page()
    use = TimeUse(page)
    use.begin()
    # Of quick calls hundreds of strides in a row are not timed.
    strides = max(320, 100_000_000 // (8 * (call_ns + 1_000)))
    spent = run(clock, BusyMeter(use), lambda i: call_ns, strides, 8)
    use.enter(Activity.OWN)
    found = times(page)
    assert sum(found.values()) == clock.now_ns - 1_000
    assert found["busy"] == pytest.approx(spent, rel=0.06)


def test_few_calls_of_a_quick_functor_are_timed_and_all_of_a_slow_one(clock: Clock) -> None:
    for call_ns, least, most in ((1_000, 1, 7), (60_000, 100, 100)):
        use = TimeUse(Page())
        use.begin()
        meter = BusyMeter(use)

        def functor(i: int, ns: int = call_ns) -> None:
            clock.now_ns += ns

        timed = 0
        for stride in range(100):
            function = meter.around(functor)
            timed += function is not functor
            for i in range(8):
                function(stride + i)
        assert least <= timed <= most


def test_a_call_that_is_suddenly_slow_is_the_functors(clock: Clock) -> None:
    page = Page()
    use = TimeUse(page)
    use.begin()
    spent = run(clock, BusyMeter(use), lambda i: 3 * 10**9 if i == 100 else 1_000, 64, 8)
    use.enter(Activity.OWN)
    assert times(page)["busy"] == pytest.approx(spent, rel=0.01)


def test_what_a_functor_raises_ends_its_time(clock: Clock) -> None:
    page = Page()
    use = TimeUse(page)
    use.begin()

    def functor() -> None:
        clock.now_ns += 70_000
        raise ValueError

    meter = BusyMeter(use)
    for _ in range(50):
        function = meter.around(functor)
        with pytest.raises(ValueError):
            function()
        clock.now_ns += 10_000
    use.enter(Activity.OWN)
    found = times(page)
    # Of the first one nobody knew yet how long it takes, or else all are timed.
    assert found["busy"] == pytest.approx(50 * 70_000, rel=0.05)


def test_a_child_of_the_functor_adds_nothing_to_its_parents_page() -> None:
    page = Page()
    use = TimeUse(page)
    use.begin()
    use.enter(Activity.BUSY)
    use.leave_to_parent()
    before = bytes(page.words.cast("B"))
    use.end_call()
    use.enter(Activity.BUSY)
    use.enter(Activity.OWN)
    assert bytes(page.words.cast("B")) == before
