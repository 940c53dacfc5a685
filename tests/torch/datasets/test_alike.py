"""The batches are those of DataLoader: the same, in the same order, with the same random numbers.

The workers are in this process here, and answer in an order that Hypothesis draws; DataLoader's
are processes. `test_workers.py` has processes on both sides.
"""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch.utils.data import (  # noqa: E402
    BatchSampler,
    DataLoader,
    DistributedSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from minipipe.torch import loader  # noqa: E402
from tests.torch.datasets.data import AtOnce, Iterated, Mapped, are_same  # noqa: E402
from tests.torch.datasets.in_process import InProcessPool  # noqa: E402


class Drawing:
    """A sampler that draws when it is begun, and at each index, from the process's generators."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Any:
        order = torch.randperm(self.count).tolist()
        return (i if random.random() < 0.5 else int(np.random.randint(self.count)) for i in order)


def seeded(seed: int) -> Any:
    generator = torch.Generator()
    generator.manual_seed(seed)
    return generator


def samplers(draw: Any, count: int) -> Any:
    """Returns a function that makes a sampler: each loader has one of its own."""
    seed = draw(st.integers(0, 99))
    kinds = [
        lambda: Drawing(count),
        lambda: SubsetRandomSampler(range(0, count, 2)),
        lambda: SubsetRandomSampler(range(count), seeded(seed)),
        lambda: DistributedSampler(range(count), 3, seed % 3, drop_last=bool(seed % 2)),
        lambda: list(range(count))[::-1],
    ]
    if count:
        kinds.append(lambda: WeightedRandomSampler([1.0] * count, 2 * count))
    return draw(st.sampled_from(kinds))


@st.composite
def argument_sets(draw: Any) -> tuple[Any, Any]:
    """Draws what makes a dataset, and what makes the arguments of a loader of it."""
    workers = draw(st.integers(0, 3))
    options: dict[str, Any] = {"num_workers": workers}
    if workers and draw(st.booleans()):
        options["prefetch_factor"] = draw(st.integers(1, 3))
    if draw(st.booleans()):
        options["collate_fn"] = draw(st.sampled_from([list, len, lambda batch: batch]))
    makers: dict[str, Any] = {}
    if draw(st.booleans()):
        seed = draw(st.integers(0, 99))
        makers["generator"] = lambda: seeded(seed)
    if draw(st.integers(0, 3)) == 0:
        counts = draw(st.lists(st.integers(0, 9), min_size=4, max_size=4))
        options["batch_size"] = draw(st.sampled_from([None, 1, 2, 5]))
        if options["batch_size"] is not None:
            options["drop_last"] = draw(st.booleans())
        if options["batch_size"] is None and options.get("collate_fn") is len:
            del options["collate_fn"]
        return lambda: Iterated(counts), (options, makers)
    count = draw(st.integers(0, 23))
    kind = draw(st.sampled_from([Mapped, AtOnce]))
    order = draw(st.sampled_from(["in order", "shuffle", "sampler", "batch_sampler"]))
    if order == "batch_sampler":
        size = draw(st.integers(1, 5))
        makers["batch_sampler"] = lambda: BatchSampler(SequentialSampler(range(count)), size, False)
        return lambda: kind(count), (options, makers)
    options["batch_size"] = draw(st.sampled_from([None, 1, 2, 5, 30]))
    if options["batch_size"] is not None:
        options["drop_last"] = draw(st.booleans())
    if order == "shuffle" and count:
        options["shuffle"] = True
    elif order == "sampler":
        makers["sampler"] = samplers(draw, count)
    return lambda: kind(count), (options, makers)


def passes(make: Any, dataset: Any, options: Any, makers: Any, pool: Any) -> list[Any]:
    """Two passes, the lengths, and what the process's generators draw after them."""
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    made = make(dataset(), **options, **{name: maker() for name, maker in makers.items()})
    if pool is not None and options["num_workers"]:
        made._pool = pool(options["num_workers"], made._manner)
    seen: list[Any] = [list(made), list(made)]
    try:
        seen.append(len(made))
    except TypeError as error:
        seen.append(str(error))
    return [*seen, torch.rand(1), float(np.random.rand()), random.random()]


@settings(max_examples=60, deadline=None)
@given(argument_sets(), st.randoms(use_true_random=False))
def test_every_combination_of_arguments_gives_what_dataloader_gives(
    drawn: Any, draws: random.Random
) -> None:
    dataset, (options, makers) = drawn

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # DataLoader's, of the number of workers
        theirs = passes(DataLoader, dataset, options, makers, None)

    def pool(count: int, manner: Any) -> InProcessPool:
        return InProcessPool(count, manner, draws)

    ours = passes(loader, dataset, options, makers, pool)

    # Each pass of DataLoader has new copies of the dataset; in this process they stay.
    for batch in (*theirs[0], *theirs[1], *ours[0], *ours[1]):
        forget_seen(batch)
    assert are_same(ours, theirs)


def forget_seen(batch: Any) -> None:
    for part in batch if isinstance(batch, list) else [batch]:
        if isinstance(part, dict):
            part.pop("seen", None)
