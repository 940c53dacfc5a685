"""`run(worker_init=f)` is called once in each worker's process before its functor is made; inline
once, in this process."""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import minipipe as mp
from minipipe.segments.worker_init import check_worker_init

INLINE = pytest.mark.parametrize("inline", [False, True], ids=["processes", "inline"])


def setting(path: Path) -> Callable[[], None]:
    """A `worker_init` that notes in a file where it runs, and is seen in a module's state."""

    def worker_init() -> None:
        info = mp.get_worker_info()
        assert info is not None
        with path.open("a") as file:
            file.write(f"{os.getpid()} {info.name}\n")
        sys.setrecursionlimit(2345)

    return worker_init


@pytest.fixture(autouse=True)
def _limit() -> Iterator[None]:
    before = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(before)


class Sees:
    """What it has seen of the setting: when it was made, in local_init, and at each item."""

    def __init__(self) -> None:
        self.made = sys.getrecursionlimit()

    def local_init(self) -> None:
        self.begun = sys.getrecursionlimit()

    def run(self, item: Any) -> Any:
        return self.made, self.begun, sys.getrecursionlimit()


@INLINE
def test_all_functors_see_what_it_has_set_and_it_runs_once_a_process(
    inline: bool, tmp_path: Path
) -> None:
    def source() -> Iterator[int]:
        assert sys.getrecursionlimit() == 2345
        yield from range(20)

    pline = mp.PipeLine([mp.Source(source, "load"), mp.Transform(Sees, "see", n_processes=2)])
    pline.build(inline=inline)
    init = setting(tmp_path / "notes")
    assert set(pline.run(worker_init=init)) == {(2345,) * 3}
    notes = [line.split() for line in (tmp_path / "notes").read_text().splitlines()]
    if inline:
        assert notes == [[str(os.getpid()), "load"]]
    else:
        assert sorted(name for _, name in notes) == ["load", "see/0", "see/1"]
        assert len({pid for pid, _ in notes} - {str(os.getpid())}) == 3


def test_also_in_a_worker_that_replaces_a_dead_one_and_once_for_all_passes(tmp_path: Path) -> None:
    died = tmp_path / "died"

    def dies_once(item: int) -> int:
        if item == 3 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return sys.getrecursionlimit()

    segments = [mp.Source(range(6), "load"), mp.Transform(dies_once, "die")]
    pline = mp.PipeLine(segments, persistent=True)
    pline.run(worker_init=setting(tmp_path / "notes"))
    assert [list(pline), list(pline)] == [[2345] * 6] * 2
    with pytest.raises(mp.LifecycleError, match=r"worker_init=.* runs with worker_init="):
        pline.run(worker_init=print)
    pline.close()
    lines = (tmp_path / "notes").read_text().splitlines()
    assert Counter(line.split()[1] for line in lines) == {"load": 1, "die": 2}


@INLINE
def test_what_it_raises_ends_the_run_before_any_functor_is_made(
    inline: bool, tmp_path: Path
) -> None:
    class Made:
        def __init__(self) -> None:
            (tmp_path / "made").touch()

        def run(self, item: int) -> None: ...

    def worker_init() -> None:
        info = mp.get_worker_info()
        if inline or (info is not None and info.name == "made"):
            raise ZeroDivisionError("no such setting")

    pline = mp.PipeLine([mp.Source([1]), mp.Sink(Made, "made")]).build(inline=inline)
    with pytest.raises(ZeroDivisionError, match="no such setting") as caught:
        pline.run(worker_init=worker_init).close()
    (note,) = caught.value.__notes__
    words = r"in worker_init \(inline\)" if inline else r"in its worker_init of segment 'made'"
    assert pytest.raises(ValueError, match=words).matches(ValueError(note))
    assert not (tmp_path / "made").exists()


def test_one_that_cannot_be_pickled_is_inherited_and_the_log_says_what_it_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lock = threading.Lock()

    def worker_init() -> None:
        with lock:
            sys.setrecursionlimit(2345)

    pline = mp.PipeLine([mp.Source([1]), mp.Transform(Sees, "see")])
    with caplog.at_level(logging.DEBUG, "minipipe"):
        assert list(pline.run(worker_init=worker_init)) == [(2345,) * 3]
    assert "variable 'lock' of worker_init, a _thread.lock" in caplog.text


# ------------------------------------------------------------------------- what it cannot be
def with_id(worker_id: int) -> None: ...


async def later() -> None: ...


def lazily() -> Iterator[int]:
    yield 1


class Lazily:
    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, "a function without arguments .*, got 3"),
        ("setup", "a function without arguments .*, got 'setup'"),
        (with_id, r"with_id\(worker_id.*\).* cannot be .*get_worker_info.*partial"),
        (functools.partial(pow, 2), "get_worker_info"),
        (later, "an async function"),
        (functools.partial(later), "an async function"),
        (lazily, "a generator function"),
        (Lazily(), "a generator function"),
    ],
)
def test_what_cannot_be_called_so_is_refused_before_the_run_starts(given: Any, said: str) -> None:
    pline = mp.PipeLine([mp.Source([1])])
    with pytest.raises(mp.OptionError, match=f"worker_init of run is .*{said}"):
        pline.run(worker_init=given)
    with pytest.raises(mp.LifecycleError, match="call run"):
        pline.stats()


def test_what_can_be_called_without_arguments_is_taken_as_it_is() -> None:
    for given in (
        *(None, dict, Sees, print, lambda: 3, functools.partial(with_id, 3)),
        *([].clear, lambda *args: args, os.getpid),
    ):
        assert check_worker_init(given) is given


def test_words_of_others_for_it_are_answered_with_it() -> None:
    pline = mp.PipeLine([mp.Source([1])])
    with pytest.raises(mp.OptionError, match="did you mean 'worker_init'"):
        pline.run(worker_init_fn=print)
    with pytest.raises(mp.OptionError, match="did you mean 'worker_init', an option of run"):
        mp.Transform(str, initializer=print)
