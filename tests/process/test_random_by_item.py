"""With a seed, what a functor draws for an item is the same in whichever worker it is."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from tests.process.functors import Collect, both, same, streams

Drawn = tuple[Any, ...]


def drawn() -> Drawn:
    """A draw of each kind."""
    return (
        random.random(),
        random.gauss(0, 1),
        float(np.random.random()),
        float(np.random.normal()),  # of a pair, whose second is kept
        float(mp.rng().random()),
    )


def augmented(x: Any) -> tuple[Any, Drawn]:
    return x, drawn()


def with_draws(x: Any) -> Any:
    drawn()
    return x


def torn(x: Any) -> tuple[Any, list[float]]:
    import torch

    return x, torch.rand(2).tolist()


class Augment:
    """The same with state: it draws at its start and at its end, too."""

    def local_init(self) -> None:
        self.at_start = drawn()

    def run(self, x: Any) -> tuple[Any, Drawn]:
        return x, drawn()

    def local_term(self) -> tuple[Drawn, Drawn]:
        return self.at_start, drawn()


class FirstDies:
    """Augments; the first worker that comes to this item is killed there."""

    def __init__(self, path: str, item: int) -> None:
        self.path = path
        self.item = item

    def __call__(self, x: int) -> tuple[int, Drawn]:
        found = augmented(x)
        if x == self.item and not os.path.exists(self.path):
            open(self.path, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.001)
        return found


def twice(item: Any) -> Iterator[tuple[Any, Drawn]]:
    yield item, drawn()
    yield item, drawn()


def sampler() -> Iterator[tuple[int, Drawn] | None]:
    """Draws while it runs, and leaves some out."""
    order = list(range(40))
    random.shuffle(order)
    for x in order:
        yield (x, drawn()) if random.random() < 0.5 else None


def shared_sampler(worker: int, n_workers: int) -> Iterator[tuple[int, Drawn] | None]:
    """The same of a share of the numbers."""
    for x in range(worker, 40, n_workers):
        yield (x, drawn()) if random.random() < 0.5 else None


def draining() -> Generator[Any, Any, None]:
    """A Regulator that passes on what it gets in a random order at the end."""
    held = []
    try:
        while True:
            held.append((yield))
    except mp.EndOfStream:
        pass
    random.shuffle(held)
    for item in held:
        yield item, drawn()


def results(pline: Any, seed: int | None = 7, *, inline: bool = False) -> list[Any]:
    pline.build(inline=inline)
    return sorted(pline.run(seed=seed), key=repr)


def kept(segments: list[Any], out: mp.Stream, seed: int = 7, *, inline: bool) -> list[Any]:
    psys = mp.PipeSystem([*segments, mp.Sink(Collect, "keep", upstreams=out)])
    results = psys.build(inline=inline).run(seed=seed).close()
    return sorted(results["keep"], key=repr)


def line(*segments: Any, items: Any = range(60)) -> mp.PipeLine:
    return mp.PipeLine([mp.Source(items, "load"), *segments])


@pytest.mark.parametrize("functor", [augmented, Augment])
def test_an_item_is_augmented_alike_by_any_number_of_workers_and_inline(functor: Any) -> None:
    def run(workers: int, **options: Any) -> list[Any]:
        return results(line(mp.Transform(functor, "augment", n_processes=workers)), **options)

    one = run(1)
    assert len({repr(draws) for _, draws in one}) == 60  # each item has draws of its own
    assert run(3) == one
    assert run(1, inline=True) == one
    assert run(3, inline=True) == one
    other = run(3, seed=8)
    assert not {repr(draws) for _, draws in other} & {repr(draws) for _, draws in one}


def test_torchs_generator_is_seeded_also_if_a_functor_imports_it_late() -> None:
    pytest.importorskip("torch")

    def run(workers: int, **options: Any) -> list[Any]:
        return results(line(mp.Transform(torn, n_processes=workers), items=range(12)), **options)

    assert run(1) == run(3) == run(1, inline=True) != run(1, seed=8)


def test_an_ordered_stream_has_the_draws_of_an_unordered_one() -> None:
    def run(**options: Any) -> list[Any]:
        segments = [mp.Transform(augmented, "augment", n_processes=3, **options)]
        return list(line(*segments).run(seed=7))

    ordered = run(ordered=True)
    assert [x for x, _ in ordered] == list(range(60))
    assert sorted(run(), key=repr) == sorted(ordered, key=repr)


@pytest.mark.parametrize("ordered", [False, True])
def test_an_item_that_is_done_again_after_a_death_is_augmented_as_before(
    ordered: bool, tmp_path: Any
) -> None:
    path = str(tmp_path / "died")
    options: dict[str, Any] = {"n_processes": 2, "ordered": ordered}
    dies = line(mp.Transform(FirstDies(path, 25), "augment", **options), items=range(100))
    found = results(dies)
    assert os.path.exists(path)
    calm = line(mp.Transform(augmented, "augment"), items=range(100))
    assert found == results(calm)


def test_a_segment_that_is_added_changes_no_draws_of_the_others() -> None:
    def run(*segments: Any) -> dict[Any, Any]:
        return dict(results(line(*segments, mp.Transform(augmented, "augment", n_processes=2))))

    alone = run()
    assert run(mp.Transform(same, "before")) == alone
    with_draws = run(mp.Transform(augmented, "other", n_processes=2))
    assert {x: draws for (x, _), draws in with_draws.items()} == alone
    assert all(draws != others for (_, others), draws in with_draws.items())


def test_a_sink_and_a_broadcast_have_draws_of_their_own() -> None:
    class Kept(Collect):
        def run(self, *parts: Any) -> None:
            super().run(augmented(parts[0]))

    def run(workers: int, inline: bool = False) -> dict[str, Any]:
        branches = {
            "a": [mp.Transform(augmented, n_processes=workers), mp.Sink(Kept, "keep")],
            "b": [mp.Transform(augmented, n_processes=workers), mp.Sink(Kept, "keep")],
        }
        pline = line(mp.Broadcast(branches)).build(inline=inline).run(seed=7)
        return {name: sorted(kept, key=repr) for name, kept in pline.close().items()}

    one = run(1)
    assert len(one) == 2
    a, b = one.values()
    assert len(a) == len(b) == 60
    assert not {repr(x) for x in a} & {repr(x) for x in b}
    assert run(3) == run(1, inline=True) == one


def test_the_ways_of_a_fork_have_draws_of_their_own_where_they_meet() -> None:
    def run(workers: int, inline: bool = False) -> list[Any]:
        numbers, left, right, met, out = streams(5)
        segments = [
            mp.Source(range(30), "load", downstreams=numbers),
            mp.Transform(
                both, "fork", upstreams=numbers, downstreams=[left, right], n_processes=workers
            ),
            mp.Transform(same, "left", upstreams=left, downstreams=met),
            mp.Transform(same, "right", upstreams=right, downstreams=met),
            mp.Transform(augmented, "augment", upstreams=met, downstreams=out, n_processes=workers),
        ]
        return kept(segments, out, inline=inline)

    one = run(1)
    assert len({repr(draws) for _, draws in one}) == 60
    assert run(3) == run(1, inline=True) == one


def test_a_join_draws_for_the_item_that_it_joins() -> None:
    def joined(a: int, b: int) -> tuple[int, int, Drawn]:
        return a, b, drawn()

    def run(inline: bool = False, by_key: bool = True, workers: int = 1) -> list[Any]:
        numbers, left, right, from_left, from_right, out = streams(6)
        options: dict[str, Any] = {"n_processes": workers}
        segments = [
            mp.Transform(same, "left", upstreams=left, downstreams=from_left, **options),
            mp.Transform(same, "right", upstreams=right, downstreams=from_right, **options),
            mp.Transform(joined, "join", upstreams=[from_left, from_right], downstreams=out),
        ]
        if by_key:
            segments += [
                mp.Source(range(30), "load", downstreams=numbers),
                mp.Transform(both, "fork", upstreams=numbers, downstreams=[left, right]),
            ]
        else:
            segments += [
                mp.Source(range(30), "load", downstreams=left),
                mp.Source(range(0, -30, -1), "other", downstreams=right),
            ]
        return kept(segments, out, inline=inline)

    by_key = run()
    assert len({repr(draws) for *_, draws in by_key}) == 30
    assert run(workers=3) == run(inline=True) == by_key
    assert run(by_key=False) == run(inline=True, by_key=False)


def test_what_a_flat_map_makes_of_an_item_has_draws_of_its_own() -> None:
    def run(workers: int, inline: bool = False) -> list[Any]:
        behind = mp.Transform(augmented, "augment", n_processes=workers)
        return results(line(mp.FlatMap(twice, "twice"), behind), inline=inline)

    one = run(1)
    assert len({repr(draws) for _, draws in one}) == 120
    assert len({repr(draws) for (_, draws), _ in one}) == 120
    assert run(3) == run(1, inline=True) == one


def test_behind_an_ordered_segment_all_goes_on_as_before() -> None:
    def run(workers: int, inline: bool = False) -> list[Any]:
        segments = [
            mp.Transform(augmented, "first", n_processes=workers, ordered=True),
            mp.Shuffle(20),
            mp.Transform(Augment, "object"),
            mp.Transform(augmented, "last", n_processes=workers),
        ]
        return results(line(*segments), inline=inline)

    assert run(3) == run(1) == run(1, inline=True)


def test_a_source_draws_by_the_item_that_it_is_asked_for() -> None:
    def run(inline: bool = False, seed: int = 7, **options: Any) -> list[Any]:
        numbers, out = streams(2)
        segments = [
            mp.Source(sampler, "load", epochs=2, downstreams=numbers, **options),
            mp.Transform(augmented, upstreams=numbers, downstreams=out),
        ]
        return kept(segments, out, seed, inline=inline)

    one = run()
    assert 20 < len(one) < 60
    assert run() == one == run(inline=True)
    assert run(seed=8) != one


def test_workers_of_a_source_draw_each_their_own() -> None:
    def run(inline: bool = False) -> list[str]:
        numbers, out = streams(2)
        segments = [
            mp.Source(shared_sampler, "load", downstreams=numbers, n_processes=2),
            mp.Transform(augmented, upstreams=numbers, downstreams=out),
        ]
        found = kept(segments, out, 7, inline=inline)
        return sorted(repr(drawn) for drawn, _ in found)  # of the Source

    own = run()
    assert own == run() == run(inline=True)
    assert 10 < len(own) == len(set(own))


class Shuffled:
    """A Source that draws before it yields: when it is made, and at each time through."""

    def __init__(self) -> None:
        self.first = random.random()

    def run(self) -> list[float]:
        return [self.first, random.random()]


def test_a_source_draws_alike_before_its_items_in_each_epoch() -> None:
    def run(inline: bool = False) -> list[float]:
        pline = mp.PipeLine([mp.Source(Shuffled, epochs=3), mp.Transform(with_draws)])
        return list(pline.build(inline=inline).run(seed=7))

    one = run()
    # A class is made anew for each epoch but the first, right before it is gone through.
    assert len(set(one)) == 6
    assert run(inline=True) == one


def test_a_source_that_gives_nothing_draws_other_numbers_at_its_next_try() -> None:
    def patient() -> Iterator[int | None]:
        found = tries = 0
        while found < 5 and tries < 1000:
            tries += 1
            hit = random.random() < 0.2
            found += hit
            yield tries if hit else None

    tries = results(mp.PipeLine([mp.Source(patient)]))
    assert len(tries) == 5
    assert results(mp.PipeLine([mp.Source(patient)]), inline=True) == tries


def test_regulators_draw_alike_also_at_the_end_of_their_stream() -> None:
    def run(inline: bool = False, seed: int = 7) -> list[Any]:
        pline = line(mp.Regulator(draining, "drain"), mp.Transform(augmented, "augment"))
        return list(pline.build(inline=inline).run(seed=seed))

    one = run()
    assert len({repr(draws) for (_, draws), _ in one}) == 60
    assert run(inline=True) == one
    assert [x for (x, _), _ in run(seed=8)] != [x for (x, _), _ in one]


def test_shuffles_and_row_shuffles_repeat_with_the_run() -> None:
    def run(shuffle: Any, items: Any, inline: bool = False, seed: int = 7) -> list[Any]:
        pline = mp.PipeLine([mp.Source(items), mp.Transform(same, "before"), shuffle])
        return [np.asarray(x).tolist() for x in pline.build(inline=inline).run(seed=seed)]

    rows = [np.arange(50), np.arange(50, 100)]
    for shuffle, items in ((mp.Shuffle(10), range(50)), (mp.Rebatch(5, shuffle=30), rows)):
        one = run(shuffle, items)
        assert run(shuffle, items) == run(shuffle, items, inline=True) == one
        assert run(shuffle, items, seed=8) != one


def test_starts_and_ends_of_workers_draw_alike() -> None:
    def run(inline: bool = False) -> dict[str, Any]:
        pline = line(mp.Transform(Augment, "augment"), mp.Sink(Augment, "keep"))
        return pline.build(inline=inline).run(seed=7).close()

    one = run()
    assert len({repr(draws) for pair in one.values() for draws in pair}) == 4
    assert run() == run(inline=True) == one


def test_a_worker_is_told_a_seed_that_follows_from_the_runs() -> None:
    def told(x: int) -> tuple[str, int]:
        info = mp.get_worker_info()
        assert info is not None
        return info.name, info.seed

    def run(seed: int, inline: bool = False) -> list[tuple[str, int]]:
        segments = [mp.Transform(told, name) for name in ("one", "other")]
        found = [line(segment, items=[1]) for segment in segments]
        return [told for pline in found for told in pline.build(inline=inline).run(seed=seed)]

    one = run(7)
    assert run(7) == run(7, inline=True) == one != run(8)
    assert one[0] != one[1]


@pytest.mark.parametrize("inline", [False, True])
def test_without_a_seed_each_run_draws_anew_and_generators_run_on(inline: bool) -> None:
    def run() -> list[Any]:
        return results(line(mp.Transform(augmented, "augment")), None, inline=inline)

    one, two = run(), run()
    draws = Counter(repr(draw) for found in (one, two) for _, each in found for draw in each[::2])
    assert max(draws.values()) == 1


def test_without_a_seed_the_rng_is_that_of_the_worker() -> None:
    def drawn_from_worker(x: int) -> tuple[int, float, float]:
        seed = mp.get_worker_info().seed  # type: ignore[union-attr]
        return x, float(mp.rng().random()), float(np.random.default_rng(seed).random(x + 1)[x])

    for inline in (False, True):
        pline = line(mp.Transform(drawn_from_worker), items=range(5)).build(inline=inline)
        assert all(drawn == expected for _, drawn, expected in pline)


def test_passes_with_one_seed_are_alike() -> None:
    pline = line(mp.Transform(augmented, "augment", n_processes=2))
    assert results(pline) == results(pline) != results(pline, 8)


@pytest.mark.parametrize(
    "seed", [-1, 1.0, "7", True, np.float64(7), np.True_, np.int64(-7), [7], np.array([7, 8])]
)
def test_a_seed_that_is_no_whole_number_is_refused(seed: Any) -> None:
    said = r"seed of run is a whole number of at least 0 \(or None: .*\), got "
    with pytest.raises(mp.OptionError, match=said):
        line().run(seed=seed)
    with pytest.raises(mp.OptionError, match="seed of Shuffle 'Shuffle' is a whole number"):
        mp.Shuffle(5, seed=seed)


@pytest.mark.parametrize("inline", [False, True])
def test_a_seed_may_be_numpys_and_of_any_size(inline: bool) -> None:
    def run(seed: Any) -> list[Any]:
        pline = line(mp.Shuffle(3), mp.Transform(augmented, "augment"), items=range(6))
        return results(pline, seed, inline=inline)

    assert run(np.int64(7)) == run(np.uint8(7)) == run(7)
    assert run(2**200) != run(2**200 + 2**64) != run(0)
    assert list(mp.PipeLine([mp.Source(range(9)), mp.Shuffle(5, seed=np.int32(3))]).run()) == list(
        mp.PipeLine([mp.Source(range(9)), mp.Shuffle(5, seed=3)]).run()
    )
