"""Workers of a loader that live in the test's own process, each with random numbers of its own.

They do what a worker's functor does, and answer in an order that is drawn.
"""

from __future__ import annotations

import pickle
import random
from typing import Any, NamedTuple

import torch
from torch.utils.data._utils import collate as torchs
from torch.utils.data._utils import worker as _worker

from minipipe.torch.datasets.drawing import Generators, generators, go_to
from minipipe.torch.datasets.fetching import Manner
from minipipe.torch.datasets.orders import Answer, Begin, Fetch
from minipipe.torch.datasets.worker import Loaded, _Maker


class _Process(NamedTuple):
    """What is a worker's own of this process."""

    random: Generators
    info: Any
    stacks: Any

    @classmethod
    def now(cls) -> _Process:
        stacks = torchs.default_collate_fn_map[torch.Tensor]
        return cls(generators(None), _worker._worker_info, stacks)

    def enter(self) -> None:
        go_to(self.random, None)
        _worker._worker_info = self.info
        torchs.default_collate_fn_map[torch.Tensor] = self.stacks


class InProcess:
    """As `LoaderWorkers`."""

    def __init__(self, count: int, manner: Manner, loaded: Loaded, draws: random.Random) -> None:
        self._makers = [_Maker(worker, count, manner, loaded) for worker in range(count)]
        self._states = [_Process(generators(None), None, torchs.collate_tensor_fn)] * count
        self._asked: list[list[Fetch]] = [[] for _ in range(count)]
        self._draws = draws
        self.runs = True

    def begin(self, order: Begin, descriptor: int | None) -> None:
        assert descriptor is None
        for worker in range(len(self._makers)):
            self._at(worker, lambda maker: maker.take_in(order, None))
            self._asked[worker].clear()

    def fetch(self, worker: int, order: Fetch) -> None:
        self._asked[worker].append(order)

    def take(self, deadline: Any = None) -> Answer:
        worker = self._draws.choice([w for w, asked in enumerate(self._asked) if asked])
        order = self._asked[worker].pop(0)
        return Answer._make(self._at(worker, lambda maker: maker.answer(order)))

    def _at(self, worker: int, do: Any) -> Any:
        """Does something as this worker, as if it were the only one in its process."""
        here = _Process.now()
        self._states[worker].enter()
        try:
            # As the plane does with it: what is sent is pickled.
            return pickle.loads(pickle.dumps(do(self._makers[worker])))
        finally:
            self._states[worker] = _Process.now()
            here.enter()

    def rest(self, pass_: int) -> None:
        pass

    def close(self) -> None:
        self.runs = False


class InProcessPool:
    """As `WorkerPool`, for one pass."""

    def __init__(self, count: int, manner: Manner, draws: random.Random) -> None:
        self._about = (count, manner)
        self._draws = draws
        self.number = 0

    def keeps_seed(self, is_kept: bool) -> bool:
        return False

    def reserve(self, loaded: Loaded, base_seed: int, *, is_kept: bool) -> InProcessPool:
        self._loaded, self._base_seed = loaded, base_seed
        return self

    def begin(self, deaths: int = 0) -> InProcess:
        count, manner = self._about
        workers = InProcess(count, manner, self._loaded, self._draws)
        workers.begin(Begin(0, self._base_seed, deaths, loads=False), None)
        return workers

    def end(self, workers: InProcess) -> None:
        workers.close()

    def close(self) -> None:
        pass
