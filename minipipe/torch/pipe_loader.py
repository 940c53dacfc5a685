"""The loader of a pipeline: its items, with tensors in the place of arrays."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from typing import Any

from minipipe.errors import OptionError
from minipipe.pipeline.loop import Loop
from minipipe.pipeline.runnable import Runnable
from minipipe.protocol.delivery.delivered import Identity
from minipipe.segments.options import check_seed
from minipipe.torch.ahead import on_device
from minipipe.torch.devices import device_of
from minipipe.torch.ranks import parts_of, warn_of_ranks
from minipipe.torch.tensors import with_tensors
from minipipe.torch.uploads_of import uploads_of

WHERE = "minipipe.torch.loader"


class PipeLoader:
    """An iterable over the items of a pipeline, with tensors; each iteration is one pass.

    On a GPU, up to `prefetch` items are on their way while one is used. They are copied on a stream
    of their own, straight from the shared memory that their producer wrote, where the driver allows
    that; the stream of the loop waits for them, and the loop itself does not.

    It has a state, as torchdata's StatefulDataLoader has: `state_dict()` and `load_state_dict()`.

    Args:
        pline: A PipeLine or PipeSystem with an output.
        device: Where the tensors shall be; None: on the CPU.
        prefetch: How many items are on their way to the device beside the one handed out.
        seed: What functors draw at random follows from it, item by item, and from the number of the
            pass; None: drawn anew, or that of `pline.run(seed=)`.

    Raises:
        OptionError: An impossible value.
        DeviceError: The device does not exist.
    """

    def __init__(
        self, pline: Runnable, *, device: Any = None, prefetch: int = 2, seed: int | None = None
    ) -> None:
        if type(prefetch) is not int or prefetch < 1:
            raise OptionError(f"prefetch of {WHERE} is at least 1, got {prefetch!r}")
        self.pline = pline
        self.device = device_of(device)
        self.prefetch = prefetch
        self.seed = check_seed(seed, WHERE, "other random numbers in each run")
        self._pass = 0  # the pass that is on, or comes next
        self._is_on = False
        self._ahead: deque[Identity] = deque()  # taken, and not handed out yet

    def __iter__(self) -> Iterator[Any]:
        warn_of_ranks(parts_of(self.pline))
        loop = self.pline.loop(self._pass + self._is_on, self.seed)
        self._pass, self._is_on = loop.pass_, True
        ahead = self._ahead = deque()
        items = self._items(loop, ahead)
        try:
            for item in items:
                ahead.popleft()
                yield item
            if loop.is_through:
                self._pass, self._is_on = self._pass + 1, False
        finally:
            items.close()
            loop.close()

    def _items(self, loop: Loop, ahead: deque[Identity]) -> Generator[Any, None, None]:
        noted = _noted(loop, ahead)
        if self.device.type == "cpu":
            yield from map(with_tensors, noted)
            return
        # Only now, as the run may fork this process, which CUDA would not survive.
        uploads = uploads_of(self.device, self.prefetch)
        output = loop.output
        if output is None:
            yield from on_device(noted, uploads, self.prefetch, lambda: False)
        else:
            output.keep_private()
            yield from on_device(noted, uploads, self.prefetch, lambda: output.is_ready)

    def __len__(self) -> int:
        """How many items a pass has, if the pipeline knows.

        Raises:
            TypeError: It does not.
        """
        return len(self.pline)

    # ------------------------------------------------------------------- state
    def state_dict(self) -> dict[str, Any]:
        """Returns where this loader is: which pass, how many items of it were handed out.

        What was made, or copied ahead, and not handed out does not count.  A pass that was left
        early is under way still, until the next one begins.

        Raises:
            StateError: It is in the middle of a pass, and no run could go on there: without a seed
                (`seed=` here), with a Sink, or where a segment with state takes what comes in an
                order that is a matter of timing.  It says what to do.
        """
        state = self.pline.state_dict(ahead=tuple(self._ahead))
        if state["delivered"] is None:
            state.update({"pass": self._pass, "seed": self.seed})
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The next pass goes on where that loader was.

        What was handed out there does not come again, and what comes has the random numbers that it
        would have had (`mp.PipeLine.load_state_dict`).

        Raises:
            LifecycleError: The pipeline runs.
            StateError: It is no state, not all of one, or that of another pipeline or seed; both
                sides are named.
        """
        self.pline.load_state_dict(state_dict, seed=self.seed)
        seed = state_dict["seed"]
        self.seed = self.seed if seed is None else seed
        self._pass, self._is_on = state_dict["pass"], False
        self._ahead.clear()

    def __repr__(self) -> str:
        return f"<{WHERE} of {self.pline!r} on {self.device}>"


def _noted(loop: Loop, ahead: deque[Identity]) -> Iterator[Any]:
    """The items of a loop, each of which is noted before it is handed on."""
    for item in loop:
        ahead.append(loop.last)
        yield item
