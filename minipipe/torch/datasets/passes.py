"""One pass over a dataset, as the loop sees it; by this process itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from minipipe.torch.datasets.fetching import Fetcher, Manner, batch_in_words
from minipipe.torch.datasets.state import Progress


class Pass(Protocol):
    """One pass."""

    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...
    def is_ready(self) -> bool:
        """Whether the next batch, or the end, need not be waited for."""

    def keep_private(self) -> None:
        """What comes from now on lies where its address tells its shared memory."""

    def close(self) -> None:
        """Leaves it: nothing more comes."""


class Counted:
    """A pass as the loop has it: it counts what the loop has got.

    Args:
        batches: The pass.
        progress: Where that is booked.
        sampler: Says how many there are.
    """

    def __init__(self, batches: Pass, progress: Progress, sampler: Any) -> None:
        self._batches = batches
        self._progress = progress
        self._sampler = sampler

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            batch = next(self._batches)
        except StopIteration:
            self._progress.is_over = True
            raise
        except Exception:
            self._progress.delivered += 1  # one may go on with the next
            raise
        self._progress.delivered += 1
        return batch

    def __len__(self) -> int:
        return len(self._sampler)

    def close(self) -> None:
        """Leaves the pass: nothing more comes."""
        self._batches.close()


class SerialPass:
    """A pass in the caller's process: batches are made when they are asked for.

    Args:
        indices: What the sampler gives.
        fetcher: Of the dataset.
        skipped: How many batches were delivered before.
    """

    def __init__(
        self, indices: Iterator[Any], fetcher: Fetcher, manner: Manner, skipped: int
    ) -> None:
        self._indices = indices
        self._fetcher = fetcher
        self._manner = manner
        self._number = skipped
        self._is_over = False
        if manner.is_iterable:
            for _ in range(skipped):
                fetcher.skip(next(indices))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._is_over:
            raise StopIteration
        index = next(self._indices)
        number, self._number = self._number, self._number + 1
        try:
            return self._fetcher.fetch(index)
        except StopIteration:
            raise
        except Exception as error:
            batch = batch_in_words(number, index, self._manner)
            error.add_note(f"minipipe: {self._fetcher.at} for {batch}")
            raise

    def is_ready(self) -> bool:
        return False  # it is made when it is asked for

    def keep_private(self) -> None:
        """Nobody else sees it."""

    def close(self) -> None:
        self._is_over = True
