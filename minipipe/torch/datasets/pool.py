"""The workers of a loader between passes, and how they are made ready for the next one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from minipipe.torch.datasets.fetching import Manner
from minipipe.torch.datasets.payload import Payload
from minipipe.torch.datasets.worker import Loaded
from minipipe.torch.datasets.workers import LoaderWorkers


class WorkerPool:
    """Workers that wait for a pass. There are more than one lot of them if passes overlap.

    Args:
        workers: How many a pass has.
        manner: How they make batches.
        prefetch: How many batches each may have ahead of the loop.

    Attributes:
        base_seed: What the seeds of those that keep their dataset started from.
    """

    def __init__(self, workers: int, manner: Manner, prefetch: int) -> None:
        self._workers = workers
        self._manner = manner
        self._prefetch = prefetch
        self._idle: list[LoaderWorkers] = []
        self._payload = Payload()
        self._is_inherited = False
        self._is_unloadable = False
        self._numbers = count()
        self.base_seed = 0

    def keeps_seed(self, is_kept: bool) -> bool:
        """Whether workers are there that keep their dataset and their random numbers."""
        return is_kept and any(workers.runs for workers in self._idle)

    def reserve(self, loaded: Loaded, base_seed: int, *, is_kept: bool) -> Reserved:
        """Returns the workers of a pass, which `begin` starts.

        Args:
            is_kept: Those that have a dataset keep it.
        """
        return Reserved(self, next(self._numbers), loaded, base_seed, is_kept)

    def ready(self, reserved: Reserved, deaths: int) -> LoaderWorkers:
        """Returns workers that begin a pass.

        Args:
            deaths: How often workers died in this pass: then these are others.
        """
        workers = None if deaths else self._take()
        goes_on = workers is not None and reserved.is_kept
        if not goes_on and not deaths:
            self._capture(reserved.loaded)
            self.base_seed = reserved.base_seed
        if workers is None:
            inherited = reserved.loaded if self._is_inherited else None
            names = self._payload.names
            workers = LoaderWorkers(self._workers, self._manner, self._prefetch, inherited, names)
            workers.start()
        elif self._is_inherited and not goes_on:
            workers.start_again(reserved.loaded)
        order, descriptor = self._payload.begin(
            reserved.number,
            None if goes_on else reserved.base_seed,
            deaths,
            loads=not goes_on and not self._is_inherited,
        )
        workers.begin(order, descriptor)
        return workers

    def _capture(self, loaded: Loaded) -> None:
        """The dataset as it is now is what workers load."""
        try:
            if self._is_unloadable:
                raise TypeError
            self._payload.pickle(loaded)
            self._is_inherited = False
        except Exception:  # of its classes, or pickle; the pipeline says why when it captures it
            self._payload = Payload()
            self._is_inherited = True

    def inherit(self) -> None:
        """From now on workers inherit the dataset: it can be pickled, but not loaded."""
        self._is_unloadable = True

    def _take(self) -> LoaderWorkers | None:
        while self._idle:
            workers = self._idle.pop()
            if workers.runs:
                return workers
            workers.close()
        return None

    def put_back(self, workers: LoaderWorkers) -> None:
        """A pass needs them no more."""
        if workers.runs:
            self._idle.append(workers)
        else:
            workers.close()

    def close(self) -> None:
        """Ends those that wait."""
        while self._idle:
            self._idle.pop().close()


@dataclass
class Reserved:
    """The workers of one pass.

    Attributes:
        number: Of the pass.
        loaded: What they load.
        base_seed: What their seeds start from.
        is_kept: Those that have a dataset keep it.
    """

    pool: WorkerPool
    number: int
    loaded: Loaded
    base_seed: int
    is_kept: bool

    def begin(self, deaths: int = 0) -> LoaderWorkers:
        """Returns them, at the beginning of the pass; others, after a death."""
        return self.pool.ready(self, deaths)

    def begin_inherited(self) -> LoaderWorkers:
        """Returns others, which have no need to load the dataset."""
        self.pool.inherit()
        return self.pool.ready(self, 0)

    def end(self, workers: LoaderWorkers) -> None:
        """The pass is over, or was left."""
        if workers.runs:
            workers.rest(self.number)
        self.pool.put_back(workers)
