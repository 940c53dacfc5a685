"""The GPUs of one machine, and who has been given which of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

# As `gpus=` of a segment: how many each of its workers has, or which of its machine; None: whatever
# its machine shows.
Gpus = int | tuple[int | str, ...] | None


class GpuUse:
    """The GPUs of one machine.

    Args:
        gpus: each as CUDA_VISIBLE_DEVICES would name it.
        in_use: those that somebody has already.
    """

    def __init__(self, gpus: tuple[str, ...], in_use: Iterable[str] = ()) -> None:
        self.gpus = gpus
        self._users = Counter(in_use)

    @property
    def free(self) -> int:
        """How many nobody has."""
        return sum(not self._users[gpu] for gpu in self.gpus)

    def has(self, gpus: Gpus) -> bool:
        """Whether there are so many, or these, whoever has them."""
        if gpus is None or isinstance(gpus, int):
            return (gpus or 0) <= len(self.gpus)
        # An id, as nvidia-smi lists them, is believed: machines are mostly known by their numbers.
        return all(bool(self.gpus) if isinstance(g, str) else g < len(self.gpus) for g in gpus)

    def is_free(self, gpus: Gpus) -> bool:
        """Whether these can be given without another worker having them.

        (Those that are named are for all workers that name them.)
        """
        return (gpus or 0) <= self.free if isinstance(gpus, int) else self.has(gpus)

    def give(self, gpus: Gpus) -> str | None:
        """CUDA_VISIBLE_DEVICES of a worker: of so many, those that the fewest have."""
        if gpus is None:
            return None
        if isinstance(gpus, int):
            given = sorted(self.gpus, key=self._users.__getitem__)[:gpus]
        else:
            given = [gpu if isinstance(gpu, str) else self.gpus[gpu] for gpu in gpus]
        self._users.update(given)
        return ",".join(given)

    def give_back(self, given: str | None) -> None:
        """A worker that had these is gone."""
        self._users.subtract(given.split(",") if given else ())
