"""Two threads that hand a node over to each other thousands of times, and what must hold then."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import minipipe
from minipipe.stream.handover import Handover
from minipipe.stream.page import ITEM_WORD, Page
from tests.core import pure_only

HANDOVERS = 2000
PATIENCE_S = 60.0  # for what is broken to show
PAUSES_S = (0.0, 0.0, 5e-5, 2e-3)
INTERVALS_S = (1e-6, 1e-5, 1e-4, 1e-3)

# What the main thread does at an item: the number that it shows, and the functor.
Main = Callable[[Handover, int, Callable[[], None]], bool]


def by_methods(handover: Handover, number: int, functor: Callable[[], None]) -> bool:
    handover.enter(number + 1)
    functor()
    return handover.leave()


def in_line(handover: Handover, number: int, functor: Callable[[], None]) -> bool:
    """As the hot loops have it."""
    words = handover.words
    words[ITEM_WORD] = number + 1
    functor()
    words[ITEM_WORD] = 0
    if handover.announced:
        handover.take_back()
        return True
    return False


class Words(list[int]):
    """Words at each of whose accesses the other thread may come between."""

    def __init__(self, words: memoryview, pause: Callable[[], None]) -> None:
        super().__init__(words)
        self._pause = pause

    def __getitem__(self, place: int) -> int:  # type: ignore[override]
        word = super().__getitem__(place)
        self._pause()
        return word

    def __setitem__(self, place: int, word: int) -> None:  # type: ignore[override]
        self._pause()
        super().__setitem__(place, word)
        self._pause()


def jittered(kind: type[Handover], rng: random.Random) -> Handover:
    """A hand-over of this kind, in which the threads often change at the worst places."""

    def pause() -> None:
        if rng.random() < 0.2:
            time.sleep(rng.choice(PAUSES_S))

    class Jittered(kind):  # type: ignore[valid-type, misc]
        _announced = False

        @property
        def announced(self) -> bool:
            announced = self._announced
            pause()
            return announced

        @announced.setter
        def announced(self, value: bool) -> None:
            pause()
            self._announced = value
            pause()

    handover: Handover = Jittered(Page())
    handover.words = Words(handover.words, pause)  # type: ignore[assignment]
    return handover


class Shared:
    """What only one thread may touch at a time, as a node."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.served = 0
        self._touched_by: str | None = None

    def touch(self, who: str, seconds: float = 0.0) -> None:
        if self._touched_by is not None:
            self.violations.append(f"{who} came while it was served by {self._touched_by}")
        self._touched_by = who
        time.sleep(seconds)
        if self._touched_by != who:
            self.violations.append(f"another thread came while {who} served")
        self._touched_by = None


def exchange(handover: Handover, main: Main, rng: random.Random, count: int) -> Shared:
    """Hands over so many times; what the two threads have done to what they share."""
    shared = Shared()
    over = threading.Event()

    def functor() -> None:
        if rng.random() < 0.3:
            time.sleep(rng.choice(PAUSES_S))

    def serve() -> None:
        last = 0
        while not over.is_set():
            word = handover.in_user_code
            while word and word == last:  # as the service thread does
                with handover.announce() as at:
                    if at != word:
                        break
                    shared.touch("the service thread", rng.choice(PAUSES_S))
                    shared.served += 1
                time.sleep(rng.choice(PAUSES_S))
            last = word

    thread = threading.Thread(target=serve)
    before_s = sys.getswitchinterval()
    thread.start()
    try:
        known = 0
        for i in range(count):
            if i % 64 == 0:
                sys.setswitchinterval(rng.choice(INTERVALS_S))
            told = main(
                handover, rng.choice((0, 0, 0, 1)), functor
            )  # the same again, as in a retry
            if shared.served != known and not told:
                shared.violations.append("the main thread was not told that the other one came")
            known = shared.served
            shared.touch("the main thread", rng.choice(PAUSES_S) if i % 4 == 0 else 0.0)
            if shared.violations:
                break
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(before_s)
    return shared


@pytest.mark.parametrize("main", [by_methods, in_line])
@pytest.mark.parametrize(
    "make",
    [
        lambda kind, rng: kind(Page()),
        pytest.param(jittered, marks=pure_only("a pause is put in by a class derived from it")),
    ],
    ids=["bare", "jittered"],
)
def test_both_never_serve_at_once_and_no_visit_is_forgotten(
    main: Main, make: Callable[[type[Handover], random.Random], Handover]
) -> None:
    rng = random.Random(5)
    shared = exchange(make(Handover, rng), main, rng, HANDOVERS)
    assert not shared.violations
    assert shared.served > HANDOVERS / 100


class LooksBeforeItAnnounces(Handover):
    @contextmanager
    def announce(self) -> Iterator[int]:
        with self._lock:
            word = self.in_user_code
            self.announced = True
            yield word


class AsksBeforeItLeaves(Handover):
    def leave(self) -> bool:
        announced = self.announced
        self.words[ITEM_WORD] = 0
        if announced:
            self.take_back()
        return announced


class DoesNotWait(Handover):
    def take_back(self) -> None:
        self.announced = False


class ForgetsWhoCameMeanwhile(Handover):
    def take_back(self) -> None:
        with self._lock:
            pass
        time.sleep(1e-3)
        self.announced = False


class DoesNotAnnounce(Handover):
    @contextmanager
    def announce(self) -> Iterator[int]:
        with self._lock:
            yield self.in_user_code


@pure_only("a broken hand-over is a class derived from the real one")
@pytest.mark.parametrize(
    "kind",
    [
        LooksBeforeItAnnounces,
        AsksBeforeItLeaves,
        DoesNotWait,
        ForgetsWhoCameMeanwhile,
        DoesNotAnnounce,
    ],
)
def test_each_rule_of_the_hand_over_is_needed(kind: type[Handover]) -> None:
    until_s = time.monotonic() + PATIENCE_S
    seed = 0
    while time.monotonic() < until_s:
        seed += 1
        rng = random.Random(seed)
        if exchange(jittered(kind, rng), by_methods, rng, HANDOVERS).violations:
            return
    pytest.fail(f"{kind.__name__} seems to do as well")


def test_only_the_hot_loops_write_the_hand_over_down_themselves() -> None:
    package = Path(minipipe.__file__).parent
    users = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "ITEM_WORD" in path.read_text(encoding="utf-8")
    }
    hot = {"worker/fast_path.py", "worker/source.py", "worker/bundles.py"}
    reads = {"stream/time_use.py"}  # which item a span was of
    assert users == {"stream/page.py", "stream/handover.py", "worker/calls.py", *hot, *reads}
