"""What stems from one item of a source answers for its own deaths only."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

import minipipe as mp
from minipipe.dead_letters.reading import letters_in
from tests.conftest import run_directories
from tests.process.functors import Collect, streams

SKIP: dict[str, Any] = {"poison": "skip", "max_restarts": 10}


def suspects() -> list[str]:
    return [p.name for d in run_directories() for p in Path(d).glob("suspect*")]


@pytest.mark.parametrize("keeps", [False, True])
def test_two_leaves_of_an_item_that_each_die_once_are_both_done(
    tmp_path: Path, keeps: bool
) -> None:
    def work(x: int) -> int:
        mark = tmp_path / str(x)
        if x in (14, 15) and not mark.exists():
            mark.touch()
            os._exit(1)
        return x

    s, a, b, c, d = streams(5)
    options: dict[str, Any] = dict(SKIP)
    if keeps:
        options["dead_letter"] = str(tmp_path / "letters")
    psys = mp.PipeSystem(
        [
            mp.Source(range(20), "src", s),
            mp.Transform(lambda x: (2 * x, 2 * x + 1), "fork", s, [a, b]),
            mp.Transform(lambda x: x, "left", a, c),
            mp.Transform(lambda x: x, "right", b, c),
            mp.Transform(work, "work", c, d, n_processes=2, **options),
            mp.Sink(Collect(), "keep", d),
        ]
    )
    assert sorted(psys.run().close(60)["keep"]) == list(range(40))
    assert not (tmp_path / "letters").exists()


def test_a_leaf_that_dies_twice_is_set_aside_alone_and_kept_with_its_path(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def work(x: int) -> int:
        if x in (14, 15, 21):
            os._exit(1)
        return x

    s, a, b, c, d = streams(5)
    path = str(tmp_path / "letters")
    psys = mp.PipeSystem(
        [
            mp.Source(range(20), "src", s),
            mp.Transform(lambda x: (2 * x, 2 * x + 1), "fork", s, [a, b]),
            mp.Transform(lambda x: x, "left", a, c),
            mp.Transform(lambda x: x, "right", b, c),
            mp.Transform(work, "work", c, d, n_processes=2, dead_letter=path, **SKIP),
            mp.Sink(Collect(), "keep", d),
        ]
    )
    found = psys.run().close(60)["keep"]
    assert sorted(found) == [x for x in range(40) if x not in (14, 15, 21)]
    letters = sorted(
        (letter.number, tuple(letter.path), letter.item()) for letter in letters_in(path)
    )
    assert letters == [(7, (0,), 14), (7, (1,), 15), (10, (1,), 21)]
    for leaf in ("7 of 'src', branch 0", "7 of 'src', branch 1", "10 of 'src', branch 1"):
        assert f"item {leaf} has killed two workers of segment 'work'" in caplog.text


def test_what_was_kept_of_a_suspect_is_gone_when_it_is_done(tmp_path: Path) -> None:
    """One death each at many items: neither files nor charges of them pile up."""

    def work(x: int) -> int:
        mark = tmp_path / str(x)
        if x % 10 == 5 and not mark.exists():
            mark.touch()
            os._exit(1)
        return x

    pline = mp.PipeLine([mp.Source(range(100))])
    letters = str(tmp_path / "letters")
    options: dict[str, Any] = {**SKIP, "max_restarts": 1000, "dead_letter": letters}
    pline.add(mp.Transform(work, "work", **options))
    most, seen = 0, []
    for x in pline:
        seen.append(x)
        most = max(most, len(suspects()))
    assert sorted(seen) == list(range(100))
    assert most <= 5
    assert not os.path.exists(letters)


def test_a_quick_leaf_behind_another_of_the_same_item_does_not_hang() -> None:
    """Each of the two is within timeout_s, both together are not."""

    def work(x: int) -> int:
        time.sleep(0.6)
        return x

    s, a, b, c, d = streams(5)
    psys = mp.PipeSystem(
        [
            mp.Source([1, 2], "src", s),
            mp.Transform(lambda x: (x, -x), "fork", s, [a, b]),
            mp.Transform(lambda x: x, "left", a, c),
            mp.Transform(lambda x: x, "right", b, c),
            mp.Transform(work, "work", c, d, timeout_s=1.0, max_restarts=0),
            mp.Sink(Collect(), "keep", d),
        ]
    )
    assert sorted(psys.run().close(60)["keep"]) == [-2, -1, 1, 2]
