"""What a worker of the loader does: it makes the batches that it is asked for, in that order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from minipipe.process.importing import importing_for_worker
from minipipe.torch.datasets.channel import Line
from minipipe.torch.datasets.collating import Stacker
from minipipe.torch.datasets.fetching import Fetcher, Manner, batch_in_words, fetcher_of
from minipipe.torch.datasets.orders import Answer, Begin, Fetch, Kind, Order, Rest
from minipipe.torch.datasets.seeding import seed_worker, tell_dataset
from minipipe.worker.failure import Failure, capture
from minipipe.worker.pickled_functor import PickledFunctor

ALIVE_S = 20.0  # a worker at rest says so often that it is: nobody is to think that it hangs


class Loaded(NamedTuple):
    """What travels to the workers, and is loaded anew for a pass."""

    dataset: Any
    collate: Callable[[Any], Any]
    init: Callable[[int], object] | None


class LoaderWorker:
    """The functor: a Source whose items are answers.

    Args:
        address: Where orders come from.
        manner: How batches are made.
        inherited: The dataset and what goes with it, if it can only be inherited by fork.
        names: What stands for the modules that the dataset needs, so that they are imported once
            for all workers.
    """

    answers = True  # each item is sent at once

    def __init__(
        self,
        address: tuple[str, bytes],
        manner: Manner,
        inherited: Loaded | None,
        names: tuple[Any, ...],
    ) -> None:
        self._address = address
        self._manner = manner
        self.inherited = inherited
        self._names = names

    def run(self, worker: int, n_workers: int) -> Iterator[tuple[Any, ...] | None]:
        """Yields answers, as plain tuples; None from time to time while there is no pass."""
        torch.set_num_threads(1)
        line = Line(self._address, worker)
        maker = _Maker(worker, n_workers, self._manner, self.inherited)
        orders = _Orders(line)
        try:
            while True:
                if not orders.wait(None if maker.is_at_work else ALIVE_S):
                    yield None
                    continue
                order = orders.next()
                if isinstance(order, Fetch):
                    if maker.is_wanted(order):
                        line.begins(order.number)
                        answer = [maker.answer(order)]
                        line.begins(-1)
                        yield answer.pop()  # nobody else holds its arrays: they are the loop's
                else:
                    maker.take_in(order, orders.descriptor)
        except EOFError:
            return
        finally:
            line.close()


class _Orders:
    """The orders that have come, so that a later one can make an earlier one void."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._waiting: deque[tuple[Order, int | None]] = deque()
        self.descriptor: int | None = None  # that came with the last one

    def wait(self, seconds: float | None) -> bool:
        """Whether there is an order, or the end, within this time; None: waits for it."""
        return bool(self._waiting) or self._line.has_more(seconds)

    def next(self) -> Order:
        """The next order that still counts.

        Raises:
            EOFError: There will be none.
        """
        if not self._waiting:
            self._waiting.append(self._line.receive())
        while self._line.has_more():
            self._waiting.append(self._line.receive())
        if any(type(order) is not Fetch for order, _ in self._waiting):
            while type(self._waiting[0][0]) is Fetch:
                self._waiting.popleft()
        order, self.descriptor = self._waiting.popleft()
        return order


class _Maker:
    """The dataset as this worker has it, and how it makes batches of it."""

    def __init__(self, worker: int, workers: int, manner: Manner, inherited: Loaded | None) -> None:
        self._worker = worker
        self._workers = workers
        self._manner = manner
        self._loaded = inherited
        self._pass = -1
        self._memory: int | None = None  # where the dataset's pickle lies
        self._fetcher: Fetcher | None = None
        self._failure: BaseException | None = None  # of what comes before the first batch
        self._doing = ""
        self._stacker = Stacker()
        self.is_at_work = False

    def take_in(self, order: Begin | Rest, descriptor: int | None) -> None:
        """A pass begins, or is over."""
        if isinstance(order, Rest):
            self.is_at_work, self._fetcher = False, None
            return
        self.is_at_work, self._pass, self._failure = True, order.pass_, None
        if descriptor is not None:
            if self._memory is not None:
                os.close(self._memory)
            self._memory = descriptor
        try:
            self._begin(order)
        except Exception as error:
            self._failure = error

    def _begin(self, order: Begin) -> None:
        self._fetcher = None
        if order.loads:
            self._doing, self._loaded = "loading the dataset", None
            self._loaded = self._load(order)
        assert self._loaded is not None
        dataset, collate, init = self._loaded
        if order.base_seed is not None:
            self._stacker.install()
            seed_worker(order.base_seed, self._worker, order.restart)
            seed = order.base_seed + self._worker
            tell_dataset(self._worker, self._workers, seed, dataset)
            if init is not None:
                self._doing = f"worker_init_fn({self._worker})"
                init(self._worker)
        self._doing = "iter(dataset)"
        self._fetcher = fetcher_of(dataset, self._manner, collate)

    def _load(self, order: Begin) -> Loaded:
        pickled: Any = PickledFunctor(order.main or {}, order.data, order.extents)
        memory = None if order.data or self._memory is None else os.dup(self._memory)
        with importing_for_worker():
            loaded: Loaded = pickled.load(memory)
        return loaded

    def is_wanted(self, order: Fetch) -> bool:
        """Whether an order is of the pass that this worker is at."""
        return order.pass_ == self._pass and self.is_at_work

    def answer(self, order: Fetch) -> tuple[Any, ...]:
        """The answer to an order."""
        kind, content = self._made(order)
        return tuple(Answer(order.pass_, order.number, self._worker, kind, content))

    def _made(self, order: Fetch) -> tuple[Kind, Any]:
        fetcher = self._fetcher
        try:
            if self._failure is not None:
                raise self._failure
            assert fetcher is not None
            if order.is_skipped:
                fetcher.skip(order.index)
                return Kind.SKIPPED, None
            return Kind.BATCH, self._stacker.on_its_way(fetcher.fetch(order.index))
        except StopIteration as error:
            if self._manner.is_iterable and self._failure is None:
                return Kind.ENDED, None
            return Kind.FAILED, self._failed(error, order)
        except Exception as error:
            kind = Kind.UNLOADED if self._loaded is None else Kind.FAILED
            return kind, self._failed(error, order)

    def _failed(self, error: Exception, order: Fetch) -> Failure:
        fetcher = self._fetcher
        at = self._doing if fetcher is None or self._failure is not None else fetcher.at
        batch = batch_in_words(order.number, order.index, self._manner)
        return capture(error, f"{at} for {batch} in loader worker {self._worker}")
