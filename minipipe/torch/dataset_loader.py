"""The loader of a dataset: DataLoader's arguments, order and batches, by MiniPipe's workers."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

from torch.utils.data import DataLoader, IterableDataset

from minipipe.errors import OptionError, StateError
from minipipe.torch.datasets.arguments import (
    WHERE,
    check_callables,
    check_dataset,
    check_numbers,
    refuse,
    reject,
)
from minipipe.torch.datasets.dealing import Dealer
from minipipe.torch.datasets.drawing import (
    Drawn,
    after,
    draw,
    draw_again,
    generators,
    set_state,
    state_of,
)
from minipipe.torch.datasets.fetching import Manner, fetcher_of
from minipipe.torch.datasets.passes import Counted, Pass, SerialPass
from minipipe.torch.datasets.placing import OnDevice
from minipipe.torch.datasets.pool import WorkerPool
from minipipe.torch.datasets.state import (
    Progress,
    Settings,
    check_epoch,
    check_same,
    from_dict,
    settings_of,
    to_dict,
)
from minipipe.torch.datasets.worker import Loaded
from minipipe.torch.datasets.workers_pass import WorkersPass
from minipipe.torch.devices import device_of
from minipipe.torch.ranks import part_of_sampler, warn_of_ranks


class DatasetLoader(DataLoader):  # type: ignore[misc]
    """Batches of a dataset, as `torch.utils.data.DataLoader` gives them.

    It is one for code that asks, and takes its arguments; `minipipe.torch.loader` makes it.  The
    batches are the same, in the same order: what is drawn at random here is drawn at the same
    moments from the same generators.  In workers, `torch.utils.data.get_worker_info()`, the seeds
    of `random`, NumPy and torch, and the worker that makes a batch are those of DataLoader, so
    what a dataset draws there is the same, too, as long as no worker dies.  What they stack lies
    in shared memory, and the loop gets it without a copy.

    Workers are started by the first pass and stay until `close()`, or until nobody holds the
    loader.  At each pass they get the dataset as it is then in this process, and new seeds; with
    `persistent_workers=True` they keep the one that they have, and random numbers run on.

    A worker that is killed is replaced, and what it had not finished is done again, in the same
    order (not of an `IterableDataset`, with whose part no other worker could go on; nor of a batch
    at which two have died).  After an exception of the dataset the loop may go on with the next
    batch.

    Args:
        prefetch_factor: How many batches each worker may have ready ahead of the loop (2).
        in_order: False: batches come as they get ready.
        timeout: Seconds that the loop waits for a batch; 0: for ever.
        device: As `minipipe.torch.loader` takes it.
        prefetch: The same.

    Raises:
        OptionError: An argument that there is not here, or an impossible value.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], object] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        device: Any = None,
        prefetch: int = 2,
        **unknown: Any,
    ) -> None:
        reject(unknown)
        refuse(
            pin_memory=pin_memory,
            multiprocessing_context=multiprocessing_context,
            pin_memory_device=pin_memory_device,
        )
        check_dataset(dataset)
        check_numbers(num_workers, timeout, prefetch_factor, prefetch)
        check_callables(collate_fn=collate_fn, worker_init_fn=worker_init_fn)
        try:
            super().__init__(
                dataset,
                batch_size,
                shuffle,
                sampler,
                batch_sampler,
                num_workers,
                collate_fn,
                drop_last=drop_last,
                timeout=timeout,
                worker_init_fn=worker_init_fn,
                generator=generator,
                prefetch_factor=prefetch_factor,
                persistent_workers=persistent_workers,
            )
        except (ValueError, TypeError) as error:
            raise OptionError(f"{WHERE}: {error}") from error
        self.in_order = in_order
        self.device = device_of(device)
        self.prefetch = prefetch
        self._manner = Manner(
            is_iterable=isinstance(dataset, IterableDataset),
            collates=self.batch_sampler is not None,
            drop_last=self.drop_last,
        )
        self._pool = WorkerPool(num_workers, self._manner, self.prefetch_factor or 0)
        self._pass: Callable[[], Counted | None] = lambda: (
            None
        )  # the last one, if somebody holds it
        self._progress: Progress | None = None  # of the last one
        self._resumed: Progress | None = None  # where the next one goes on
        self._passes = 0

    def check_worker_number_rationality(self) -> None:
        """DataLoader warns of more workers than cores; many of them wait, for files, say."""

    # ------------------------------------------------------------------ passes
    def __iter__(self) -> Any:
        warn_of_ranks(part_of_sampler(self.sampler))
        resumed, self._resumed = self._resumed, None
        if self.persistent_workers:
            self._end_pass()
        sampler: Any = self._sampler
        progress, drawn, skipped = self._draw(sampler, resumed)
        inner: Pass
        if self.num_workers:
            inner = self._by_workers(progress, drawn, skipped)
        else:
            fetcher = fetcher_of(self.dataset, self._manner, self.collate_fn)
            inner = SerialPass(drawn.indices, fetcher, self._manner, skipped)
        if self.device.type != "cpu":
            inner = OnDevice(inner, self.device, self.prefetch)
        self._progress = progress
        counted = Counted(inner, progress, sampler)
        self._pass = weakref.ref(counted)
        return counted

    @property
    def _sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def _draw(self, sampler: Any, resumed: Progress | None) -> tuple[Progress, Drawn, int]:
        """Draws what a pass begins with; how many batches of it were delivered before."""
        begins_again = bool(self.num_workers)
        if resumed is None:
            began = generators(self.generator)
            draws_seed = not self._pool.keeps_seed(self.persistent_workers)
            drawn = draw(sampler, self.generator, draws_seed=draws_seed, begins_again=begins_again)
            base_seed = self._pool.base_seed if drawn.base_seed is None else drawn.base_seed
            epoch = getattr(self.sampler, "epoch", None)
            progress = Progress(self._passes, base_seed, draws_seed, epoch, began)
            self._passes += 1
            return progress, drawn, 0
        check_epoch(resumed.epoch, getattr(self.sampler, "epoch", None))
        skipped = resumed.delivered
        # One at least: many a sampler draws its whole order with its first index.
        ahead = max(1, self.num_workers * (self.prefetch_factor or 0))
        drawn, first = draw_again(
            sampler,
            self.generator,
            resumed.began,
            skipped + ahead,
            draws_seed=resumed.draws_seed,
            begins_again=begins_again,
        )
        if len(first) < skipped:
            raise StateError(
                f"the state was taken after {skipped} batches, and the sampler gives {len(first)}"
            )
        if not self._manner.is_iterable:
            first = first[skipped:]
        self._passes = resumed.pass_ + 1
        return resumed, Drawn(resumed.base_seed, after(first, drawn.indices)), skipped

    def _by_workers(self, progress: Progress, drawn: Drawn, skipped: int) -> WorkersPass:
        loaded = Loaded(self.dataset, self.collate_fn, self.worker_init_fn)
        reserved = self._pool.reserve(loaded, progress.base_seed, is_kept=self.persistent_workers)
        first = 0 if self._manner.is_iterable else skipped
        dealer = Dealer(
            self.num_workers, self.prefetch_factor or 0, in_order=self.in_order, first=first
        )
        return WorkersPass(
            reserved, drawn.indices, dealer, self._manner, skipped=skipped, timeout_s=self.timeout
        )

    def _end_pass(self) -> None:
        current = self._pass()
        if current is not None:
            current.close()

    def close(self) -> None:
        """Ends the pass that is under way, and the workers; a next pass starts new ones."""
        self._end_pass()
        self._pool.close()

    def __enter__(self) -> DatasetLoader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------- state
    def state_dict(self) -> dict[str, Any]:
        """Returns where this loader is: which pass, how many batches of it were delivered.

        A pass that was left early is under way still, until the next one begins.

        Raises:
            StateError: Batches come as they get ready (`in_order=False`), so which were delivered
                does not follow from how many.
        """
        self._check_state_makes_sense()
        progress = self._progress if self._resumed is None else self._resumed
        return to_dict(progress, self._settings(), self._passes, state_of(self.generator))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The next pass goes on where that loader was.

        The order is drawn again; of a map-style dataset nothing is fetched that was delivered.
        What the dataset draws in workers is drawn anew.

        Raises:
            StateError: It is no state of such a loader, or of another dataset, sampler, batch size
                or rank; both sides are named.
        """
        self._check_state_makes_sense()
        pass_, progress, own, settings = from_dict(state_dict)
        check_same(settings, self._settings(), counts_workers=self._manner.is_iterable)
        self._end_pass()
        self._progress, self._resumed, self._passes = None, progress, pass_
        if progress is None:
            set_state(self.generator, own)

    def _check_state_makes_sense(self) -> None:
        if not self.in_order and self.num_workers:
            raise StateError(
                "a loader with in_order=False has no state to go on from: which batches were "
                "delivered is a matter of timing"
            )

    def _settings(self) -> Settings:
        return settings_of(
            self.dataset, self.batch_size, self.drop_last, self._sampler, self.num_workers
        )

    def __getstate__(self) -> dict[str, Any]:
        fields = {**vars(self), "_pass": _nobody}
        fields["_pool"] = WorkerPool(self.num_workers, self._manner, self.prefetch_factor or 0)
        return fields

    def __repr__(self) -> str:
        return f"<{WHERE} of {self.dataset!r:.80}, num_workers={self.num_workers}>"


def _nobody() -> None:
    return None


def dataset_loader(dataset: Any, *args: Any, **options: Any) -> Iterable[Any]:
    """Returns the loader of a dataset, of which `DatasetLoader` says the rest."""
    return DatasetLoader(dataset, *args, **options)
