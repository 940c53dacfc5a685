"""Batches made by the workers that make the samples: what is in them, whoever does it or dies."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.dead_letters.reading import letters_in
from tests.process.functors import Collect, same, uneven
from tests.process.test_recovery import survives

SKIP: dict[str, Any] = {"poison": "skip", "max_restarts": 100}


def dealt(items: Any, size: int) -> list[list[int]]:
    """What the batches have of items that are their own numbers, of which some are left out."""
    found: dict[int, list[int]] = {}
    for x in items:
        found.setdefault(x // size, []).append(x)
    return list(found.values())


def listed(pline: mp.PipeLine, **options: Any) -> list[Any]:
    return [batch.tolist() for batch in pline.run(**options)]


def sample(x: int) -> dict[str, Any]:
    return {"image": np.full((2, 3), x, np.float32), "label": x}


def picky(x: int) -> int | None:
    if x % 10 == 3:
        raise ValueError(f"no {x}")
    return None if x % 10 == 4 else x


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("workers", [1, 3])
def test_each_item_is_mapped_by_itself_and_put_into_the_batch_of_its_number(
    workers: int, inline: bool
) -> None:
    batches = mp.Transform(sample, n_processes=workers, batch=4, ordered=True)
    found = list(mp.PipeLine([mp.Source(range(10)), batches]).build(inline=inline))
    assert [batch["label"].tolist() for batch in found] == dealt(range(10), 4)
    assert [batch["image"].dtype for batch in found] == [np.float32] * 3
    assert [batch["image"].shape for batch in found] == [(4, 2, 3), (4, 2, 3), (2, 2, 3)]
    assert all((b["image"][:, 1, 2] == b["label"]).all() for b in found)


@pytest.mark.parametrize("inline", [False, True])
def test_fewer_items_at_the_end_are_left_out_if_that_is_asked_for(inline: bool) -> None:
    batches = mp.Transform(same, "batches", n_processes=2, batch=4, drop_last=True, ordered=True)
    pline = mp.PipeLine([mp.Source(range(11), "source"), batches]).build(inline=inline)
    assert listed(pline) == dealt(range(8), 4)
    by_name = {w.segment: w for w in pline.stats().workers}
    assert (by_name["source"].items_out, by_name["source"].dropped) == (8, 3)
    few = mp.PipeLine([mp.Source(range(3)), mp.Transform(same, batch=4, drop_last=True)])
    assert list(few.build(inline=inline)) == []


@pytest.mark.parametrize("inline", [False, True])
def test_segments_in_between_work_on_each_item_and_keep_the_batches_as_they_are(
    inline: bool,
) -> None:
    def odd(x: int) -> int | None:
        return x if x % 2 else None

    parts = [
        mp.Source(range(30)),
        mp.Transform(odd, "odd", n_processes=2),
        mp.Transform(uneven, "uneven", n_processes=3),
        mp.Transform(same, "batches", n_processes=2, batch=8, ordered=True),
    ]
    pline = mp.PipeLine(parts).build(inline=inline)
    assert listed(pline) == dealt(range(1, 30, 2), 8)
    counts: dict[str, list[int]] = {}
    for worker in pline.stats().workers:
        of = counts.setdefault(worker.segment, [0, 0, 0])
        for i, count in enumerate((worker.items_in, worker.items_out, worker.dropped)):
            of[i] += count
    assert counts["odd"] == [30, 15, 15]
    assert counts["uneven"] == [15, 15, 0]
    assert counts["batches"] == [15, 4, 0]


class Running:
    def run(self, x: int) -> int:
        return x


@pytest.mark.parametrize("inline", [False, True])
def test_an_object_may_make_batches_and_deal_out_what_it_passes_on(inline: bool) -> None:
    once = mp.Transform(Running(), "once", batch=4)
    again = mp.Transform(lambda batch: batch.sum(), "again", n_processes=2, batch=2, ordered=True)
    pline = mp.PipeLine([mp.Source(range(16)), once, again]).build(inline=inline)
    assert listed(pline) == [[6, 22], [38, 54]]


class Picky:
    def run(self, x: int) -> int | None:
        return picky(x)


@pytest.mark.parametrize("inline", [False, True])
def test_an_object_that_is_fed_in_order_makes_its_batches_in_order(
    tmp_path: Path, inline: bool
) -> None:
    path = str(tmp_path / "letters")
    lenient: dict[str, Any] = {"max_failures": 20, "dead_letter": path}
    parts = [
        mp.Source(range(200), "source"),
        mp.Transform(uneven, "uneven", n_processes=3, ordered=True),
        mp.Transform(Picky(), "picky", batch=8, collate=list, **lenient),
    ]
    found = list(mp.PipeLine(parts).build(inline=inline))
    assert found == dealt([x for x in range(200) if x % 10 not in (3, 4)], 8)
    assert sorted(letter.item() for letter in letters_in(path)) == list(range(3, 200, 10))


@pytest.mark.parametrize("inline", [False, True])
def test_a_collate_of_the_users_gets_a_list_of_what_the_functor_gave(inline: bool) -> None:
    def collate(samples: list[int]) -> tuple[str, int] | None:
        assert type(samples) is list
        return None if 5 in samples else ("sum", sum(samples))

    batches = mp.Transform(same, "batches", n_processes=2, batch=4, collate=collate, ordered=True)
    pline = mp.PipeLine([mp.Source(range(12)), batches]).build(inline=inline)
    assert list(pline) == [("sum", 6), ("sum", 38)]
    assert sum(w.dropped for w in pline.stats().workers) == 4


@pytest.mark.parametrize("inline", [False, True])
def test_items_that_fail_or_are_dropped_make_their_batch_smaller_and_are_kept(
    tmp_path: Path, inline: bool
) -> None:
    path = str(tmp_path / "letters")
    lenient: dict[str, Any] = {"max_failures": 4, "dead_letter": path}
    batches = mp.Transform(picky, "b", n_processes=3, batch=8, ordered=True, **lenient)
    pline = mp.PipeLine([mp.Source(range(40), "source"), batches]).build(inline=inline)
    assert listed(pline) == dealt([x for x in range(40) if x % 10 not in (3, 4)], 8)
    letters = list(letters_in(path))
    assert sorted((x.number, x.item(), x.text, x.origin) for x in letters) == [
        (n, n, f"no {n}", "source") for n in (3, 13, 23, 33)
    ]
    again = mp.PipeLine([mp.DeadLetters(path), mp.Transform(lambda x: -x, batch=3)])
    assert sorted(-x for batch in again for x in batch) == [3, 13, 23, 33]


@pytest.mark.parametrize("inline", [False, True])
def test_the_budget_counts_items_and_the_error_names_the_one(inline: bool) -> None:
    batches = mp.Transform(picky, "picky", batch=8, max_failures=2)
    pline = mp.PipeLine([mp.Source(range(40)), batches]).build(inline=inline)
    with pytest.raises(mp.TooManyFailuresError, match="3 of"):
        list(pline)
    failing = mp.PipeLine([mp.Source(range(40), "numbers"), mp.Transform(picky, batch=8)])
    with pytest.raises(ValueError, match="no 3") as raised:
        list(failing.build(inline=inline))
    assert "item 3" in raised.value.__notes__[0]


@pytest.mark.parametrize("inline", [False, True])
def test_a_sample_that_does_not_go_with_the_others_fails_alone(
    tmp_path: Path, inline: bool
) -> None:
    def ragged(x: int) -> Any:
        return {"image": np.zeros(3 if x != 6 else 4), "label": x}

    path = str(tmp_path / "letters")
    batches = mp.Transform(ragged, "b", batch=4, max_failures=1, dead_letter=path)
    found = list(mp.PipeLine([mp.Source(range(8)), batches]).build(inline=inline))
    assert [batch["label"].tolist() for batch in found] == [[0, 1, 2, 3], [4, 5, 7]]
    (letter,) = letters_in(path)
    assert (letter.number, letter.error) == (6, "CollateError")
    said = "sample 2 of the batch, at ['image']: expected shape (3,) as in sample 0, got shape (4,)"
    assert letter.text.startswith(said)
    strict = mp.PipeLine([mp.Source(range(8)), mp.Transform(ragged, "b", batch=4)])
    with pytest.raises(mp.CollateError) as raised:
        list(strict.build(inline=inline))
    assert str(raised.value).startswith(said)
    assert "item 6" in raised.value.__notes__[0]


@pytest.mark.parametrize("inline", [False, True])
def test_all_items_of_a_batch_fail_that_is_not_made_or_cannot_be_sent(
    tmp_path: Path, inline: bool
) -> None:
    def collate(samples: list[int]) -> Any:
        if 4 in samples:
            raise ValueError("no four")
        return (x for x in samples) if 9 in samples else samples

    path = str(tmp_path / "letters")
    lenient: dict[str, Any] = {"max_failures": 8, "dead_letter": path}
    batches = mp.Transform(same, "b", batch=4, collate=collate, **lenient)
    pline = mp.PipeLine([mp.Source(range(16)), batches]).build(inline=inline)
    assert list(pline) == [[0, 1, 2, 3], [12, 13, 14, 15]]
    letters = sorted((x.number, x.item(), x.error) for x in letters_in(path))
    assert letters == [(n, n, "ValueError") for n in (4, 5, 6, 7)] + [
        (n, n, "ItemTypeError") for n in (8, 9, 10, 11)
    ]
    assert sum(w.dropped for w in pline.stats().workers) == 8


@pytest.mark.parametrize("inline", [False, True])
def test_a_sentinel_is_refused_as_of_any_transform(inline: bool) -> None:
    batches = mp.Transform(lambda x: mp.Sentinel if x == 5 else x, batch=4)
    with pytest.raises(mp.SentinelError):
        list(mp.PipeLine([mp.Source(range(8)), batches]).build(inline=inline))


def drawing(x: int) -> tuple[int, float, float]:
    return x, random.random(), float(mp.rng().random())


def with_a_draw(samples: list[Any]) -> tuple[list[Any], float]:
    return samples, random.random()


def test_what_is_drawn_belongs_to_the_item_and_to_the_batch_whoever_makes_it() -> None:
    def run(workers: int, *, inline: bool = False, **options: Any) -> list[Any]:
        draws = mp.Transform(drawing, "draws", n_processes=workers, ordered=True, **options)
        pline = mp.PipeLine([mp.Source(range(20), "source"), draws]).build(inline=inline)
        return list(pline.run(seed=7))

    alone = run(1)
    batches: dict[str, Any] = {"batch": 8, "collate": with_a_draw}
    one, several, inline = run(1, **batches), run(3, **batches), run(1, inline=True, **batches)
    assert one == several == inline
    assert [x for samples, _ in one for x in samples] == alone
    assert len({drawn for _, drawn in one}) == 3


def test_batches_are_what_they_are_whoever_is_killed() -> None:
    def work(x: int) -> int | None:
        time.sleep(0.001)
        return None if x % 3 == 0 else x

    pline = mp.PipeLine(
        [
            mp.Source(range(1500)),
            mp.Transform(work, "a", n_processes=2, max_restarts=100),
            mp.Transform(same, "b", n_processes=3, batch=16, collate=list, max_restarts=100),
            mp.Sink(Collect(), "keep"),
        ]
    )
    found = survives(pline, "a", "b", kills=4)["keep"]
    assert sorted(found) == dealt([x for x in range(1500) if x % 3], 16)


def test_an_item_that_kills_its_worker_twice_is_left_out_of_its_batch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def work(x: int) -> int:
        if x == 13:
            os._exit(1)
        return x

    path = str(tmp_path / "letters")
    batches = mp.Transform(work, "b", n_processes=2, batch=8, dead_letter=path, **SKIP)
    found = [batch.tolist() for batch in mp.PipeLine([mp.Source(range(40), "source"), batches])]
    assert sorted(found) == dealt([x for x in range(40) if x != 13], 8)
    assert [(x.number, x.item(), x.error) for x in letters_in(path)] == [(13, 13, "PoisonError")]
    assert "item 13 of 'source' has killed two workers of segment 'b'" in caplog.text
    stops = mp.PipeLine([mp.Source(range(40)), mp.Transform(work, "b", batch=8)])
    with pytest.raises(mp.PoisonError, match="item 13"):
        list(stops)


def test_the_limit_of_time_is_the_items(tmp_path: Path) -> None:
    """Eight items of 0.25 s take longer than a limit of 1 s, and none of them does."""

    def work(x: int) -> int:
        time.sleep(60.0 if x == 11 else 0.25)
        return x

    batches = mp.Transform(work, "b", n_processes=2, batch=8, timeout_s=1.0, **SKIP)
    found = [batch.tolist() for batch in mp.PipeLine([mp.Source(range(16)), batches])]
    assert sorted(found) == dealt([x for x in range(16) if x != 11], 8)


def test_large_arrays_are_written_once_and_the_consumer_may_write_to_them() -> None:
    reused = np.zeros(50_000, np.float32)

    def load(x: int) -> Any:
        reused[:] = x
        return reused

    batches = mp.Transform(load, n_processes=2, batch=4, ordered=True)
    for number, batch in enumerate(mp.PipeLine([mp.Source(range(16)), batches])):
        assert batch[:, -1].tolist() == [4 * number + i for i in range(4)]
        batch += 1


def test_a_functor_that_writes_to_what_it_gets_is_given_copies() -> None:
    def scale(x: Any) -> Any:
        x *= 2
        return x

    large = [np.full(30_000, i, np.float64) for i in range(8)]
    batches = mp.Transform(scale, batch=4, ordered=True)
    found = [batch[:, 0].tolist() for batch in mp.PipeLine([mp.Source(large), batches])]
    assert found == [[0, 2, 4, 6], [8, 10, 12, 14]]


def test_a_stop_that_drains_lets_the_tail_through() -> None:
    def endless() -> Any:
        x = 0
        while True:
            yield x
            x += 1
            time.sleep(0.001)

    sink = mp.Sink(Collect(), "keep")
    batches = mp.Transform(same, batch=8, collate=list, ordered=True)
    pline = mp.PipeLine([mp.Source(endless), batches, sink]).run()
    time.sleep(0.5)
    pline.stop(drain=True)
    found = pline.close(60)["keep"]
    assert found == dealt(range(sum(map(len, found))), 8)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: mp.Transform(same, batch=0), "a whole number of at least 1, got 0"),
        (lambda: mp.Transform(same, batch=2.5), "a whole number of at least 1, got 2.5"),
        (lambda: mp.Transform(same, batch=4, collate=3), "a function of the list of samples"),
        (lambda: mp.Transform(same, batch=4, drop_last="no"), "True or False, got 'no'"),
        (lambda: mp.Transform(same, collate=list), "it makes none: give batch= too"),
        (lambda: mp.Transform(same, drop_last=True), "it makes none: give batch= too"),
        (lambda: mp.Transform(same, batch_size=4), "did you mean 'batch'?"),
        (lambda: mp.Transform(same, batch=4, collate_fn=list), "did you mean 'collate'?"),
        (lambda: mp.Sink(same, batch=4), "give it to the Transform before it"),
        (lambda: mp.Source([1], batch=4), "give it to the Transform behind it"),
        (lambda: mp.Regulator(same, batch=4), "give it to a Transform before it"),
    ],
)
def test_options_that_make_no_sense_are_refused(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(mp.OptionError) as refused:
        make()
    assert words in str(refused.value)
