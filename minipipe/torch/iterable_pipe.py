"""A pipeline where code wants a dataset of torch's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from minipipe.errors import LifecycleError, OptionError
from minipipe.pipeline.runnable import Runnable
from minipipe.torch.pipe_loader import PipeLoader

_ONE = (
    "a DataLoader over minipipe.torch.IterablePipe takes num_workers=0: each of its workers would "
    "start the whole pipeline, and every item would come as often; the pipeline has processes of "
    "its own (n_processes= of its segments)"
)


class IterablePipe(IterableDataset):  # type: ignore[misc]
    """A pipeline as an `IterableDataset`: for Lightning, a Trainer, a function that makes loaders.

        DataLoader(IterablePipe(pline), batch_size=None)  # the batches are the pipeline's

    Its items have tensors in the place of arrays; each iteration is a pass.

    Its state is that of `minipipe.torch.loader`: torchdata's StatefulDataLoader asks for it.

    Args:
        pline: A PipeLine or PipeSystem with an output.
        seed: As `minipipe.torch.loader` takes it.

    Raises:
        OptionError: It is no pipeline, or an impossible seed.
    """

    def __init__(self, pline: Runnable, *, seed: int | None = None) -> None:
        if not isinstance(pline, Runnable):
            raise OptionError(
                "minipipe.torch.IterablePipe takes a PipeLine or PipeSystem (a dataset is one "
                f"already: minipipe.torch.loader takes that), got {pline!r:.80}"
            )
        self.pline = pline
        self._loader = PipeLoader(pline, seed=seed)

    def __iter__(self) -> Iterator[Any]:
        if get_worker_info() is not None:
            raise LifecycleError(_ONE)
        return iter(self._loader)

    def __len__(self) -> int:
        """How many items a pass has.

        Raises:
            TypeError: The pipeline does not know.
        """
        return len(self.pline)

    def state_dict(self) -> dict[str, Any]:
        """Returns where it is; as `minipipe.torch.PipeLoader.state_dict`, which it raises as."""
        return self._loader.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The next pass goes on there; as `minipipe.torch.PipeLoader.load_state_dict`."""
        self._loader.load_state_dict(state_dict)

    def __getstate__(self) -> dict[str, Any]:
        raise LifecycleError(_ONE)  # DataLoader pickles it for workers that are spawned
