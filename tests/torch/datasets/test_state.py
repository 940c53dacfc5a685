"""A loader goes on where another one was."""

from __future__ import annotations

import io
import pickle
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch.utils.data import DistributedSampler, SubsetRandomSampler  # noqa: E402

from minipipe.errors import StateError  # noqa: E402
from minipipe.torch import loader  # noqa: E402
from tests.torch.datasets.data import Iterated, Mapped  # noqa: E402
from tests.torch.datasets.in_process import InProcessPool  # noqa: E402


def seed_all(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def generator(seed: int) -> Any:
    made = torch.Generator()
    made.manual_seed(seed)
    return made


class Shuffled:
    """A sampler of a user's: draws from Python's generator when it is begun."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Any:
        return iter(random.sample(range(self.count), self.count))


class Counting(Mapped):
    """Says which samples were fetched, in this process."""

    fetched: list[int]

    def __getitem__(self, i: Any) -> Any:
        self.fetched.append(i)
        return i


def counting(count: int) -> Counting:
    dataset = Counting(count)
    dataset.fetched = []
    return dataset


SAMPLERS: dict[str, Any] = {
    "shuffle": lambda count, seed: {"shuffle": True},
    "with a generator": lambda count, seed: {"shuffle": True, "generator": generator(seed)},
    "a sampler": lambda count, seed: {"sampler": SubsetRandomSampler(range(count))},
    "a sampler of the user's": lambda count, seed: {"sampler": Shuffled(count)},
    "in order": lambda count, seed: {},
}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(SAMPLERS)),
    st.integers(0, 2),
    st.integers(1, 20),
    st.integers(1, 5),
    st.data(),
)
def test_the_rest_of_a_pass_and_the_passes_behind_it_are_the_same(
    kind: str, workers: int, count: int, size: int, data: Any
) -> None:
    batches = -(-count // size)
    delivered = data.draw(st.integers(0, batches))
    draws = data.draw(st.randoms(use_true_random=False))

    def made(seed: int) -> Any:
        seed_all(seed)
        options = SAMPLERS[kind](count, seed)
        one = loader(counting(count), size, num_workers=workers, **options)
        if workers:
            one._pool = InProcessPool(workers, one._manner, draws)
        return one

    first = made(1)
    list(first)  # a whole pass before
    before = iter(first)
    for _ in range(delivered):
        next(before)
    state = pickle.loads(pickle.dumps(first.state_dict()))
    rest = list(before)
    behind = list(first) if kind == "with a generator" else []

    second = made(2)
    second.load_state_dict(state)
    again = list(second)

    assert [b.tolist() for b in again] == [b.tolist() for b in rest]
    if kind == "with a generator":
        assert [b.tolist() for b in second] == [b.tolist() for b in behind]
    elif not workers:  # nothing was fetched that had been delivered
        assert second.dataset.fetched == [i for batch in rest for i in batch.tolist()]


def test_the_script_draws_what_it_would_have_drawn() -> None:
    seed_all(1)
    first = loader(Mapped(12), 2, shuffle=True)
    next(iter(first))
    state = first.state_dict()

    seed_all(2)
    second = loader(Mapped(12), 2, shuffle=True)
    second.load_state_dict(state)
    iter(second)
    drawn = torch.rand(1), random.random(), np.random.rand()

    seed_all(2)
    assert drawn == (torch.rand(1), random.random(), np.random.rand())


def test_a_loop_that_was_left_is_gone_on_with_also_through_torch_save() -> None:
    seed_all(1)
    first = loader(Mapped(12), 2, shuffle=True)
    left = [batch["i"].tolist() for batch, _ in zip(first, range(2), strict=False)]
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)

    second = loader(Mapped(12), 2, shuffle=True)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert second.state_dict() == first.state_dict()  # before it goes on, too
    rest = [batch["i"].tolist() for batch in second]

    assert len(left) + 1 + len(rest) == 6  # zip has taken a third one
    assert second.state_dict()["delivered"] is None
    assert len(list(second)) == 6


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=3, max_size=3),
    st.integers(0, 3),
    st.sampled_from([None, 1, 3]),
    st.data(),
)
def test_an_iterable_dataset_goes_past_what_was_delivered(
    counts: list[int], workers: int, size: int | None, data: Any
) -> None:
    draws = data.draw(st.randoms(use_true_random=False))

    def made() -> Any:
        one = loader(Iterated(counts), size, num_workers=workers, collate_fn=keys)
        if workers:
            one._pool = InProcessPool(workers, one._manner, draws)
        return one

    first = made()
    whole = list(first)
    delivered = data.draw(st.integers(0, len(whole)))
    batches = iter(first)
    for _ in range(delivered):
        next(batches)

    second = made()
    second.load_state_dict(first.state_dict())

    assert list(second) == whole[delivered:]


def keys(batch: Any) -> Any:
    return batch["k"] if isinstance(batch, dict) else [sample["k"] for sample in batch]


def test_with_worker_processes() -> None:
    with loader(Mapped(40), 4, shuffle=True, num_workers=2) as first:
        batches = iter(first)
        for _ in range(3):
            next(batches)
        state = first.state_dict()
        rest = [batch["i"].tolist() for batch in batches]
        first.load_state_dict(state)
        assert [batch["i"].tolist() for batch in first] == rest
        assert len(rest) == 7


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda: loader(Mapped(13), 2), "length 12, and this one has a dataset of length 13"),
        (lambda: loader(Mapped(12), 3), "batch_size=2, and this one has batch_size=3"),
        (lambda: loader(Mapped(12), 2, drop_last=True), "drop_last=False, and .*drop_last=True"),
        (lambda: loader(Mapped(12), 2, shuffle=True), "SequentialSampler, and .* RandomSampler"),
        (lambda: loader(Iterated([12]), 2), "class Mapped, and this one has .* class Iterated"),
    ],
)
def test_another_loaders_state_is_refused_with_both_sides_named(other: Any, said: str) -> None:
    first = loader(Mapped(12), 2)
    next(iter(first))

    with pytest.raises(StateError, match=said):
        other().load_state_dict(first.state_dict())


def test_each_rank_has_a_state_of_its_own_and_the_epoch_is_set_first() -> None:
    def of_rank(rank: int) -> Any:
        sampler = DistributedSampler(range(12), 2, rank)
        sampler.set_epoch(3)
        return loader(Mapped(12), 2, sampler=sampler)

    first = of_rank(0)
    next(iter(first))
    state = first.state_dict()

    with pytest.raises(StateError, match=r"rank 0 of 2, and this one has rank 1 of 2"):
        of_rank(1).load_state_dict(state)
    again = of_rank(0)
    again.load_state_dict(state)
    again.sampler.set_epoch(4)
    with pytest.raises(StateError, match=r"epoch 3 .* call set_epoch\(3\)"):
        iter(again)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"model": 1}, "takes what state_dict"),
        (None, "takes what state_dict"),
        ({"format": "another's", "version": 1}, 'of "another\'s"'),
        ("cut", "not whole .*'began'"),
        ("changed", "not whole"),
        ("cut deeper", "not whole"),
    ],
)
def test_a_cut_or_foreign_state_is_refused(state: Any, said: str) -> None:
    first = loader(Mapped(12), 2)
    next(iter(first))
    if state == "cut":
        state = first.state_dict()
        del state["began"]
    elif state == "changed":
        state = {**first.state_dict(), "delivered": "three"}
    elif state == "cut deeper":
        own, torchs, *others = first.state_dict()["began"]
        state = {**first.state_dict(), "began": (own, torchs[:100], *others)}

    with pytest.raises(StateError, match=said):
        first.load_state_dict(state)


def test_batches_in_no_order_have_no_state() -> None:
    with pytest.raises(StateError, match="in_order=False"):
        loader(Mapped(12), 2, num_workers=2, in_order=False).state_dict()
