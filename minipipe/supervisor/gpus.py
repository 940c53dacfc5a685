"""GPUs are dealt out to the workers of a run, before any of them is there."""

from __future__ import annotations

import os
from collections.abc import Callable

from minipipe.errors import StartError
from minipipe.graph import Graph
from minipipe.process.gpus import visible_gpus
from minipipe.protocol.frozen import frozen
from minipipe.segments.gpus import VARIABLE


@frozen
class GpuShare:
    """The GPUs of a segment's workers.

    Attributes:
        visible: What is dealt out, in turn.
        each: How many of them a worker has.
        first: Where the first worker's begin.
    """

    visible: tuple[str, ...]
    each: int
    first: int = 0

    def of(self, index: int) -> str:
        """CUDA_VISIBLE_DEVICES of this worker; who takes its place has the same."""
        begin = self.first + index * self.each
        places = [(begin + k) % len(self.visible) for k in range(self.each)]
        return ",".join(self.visible[place] for place in places)


def deal(
    graph: Graph, visible: Callable[[], tuple[str, ...]] = lambda: visible_gpus(os.environ)
) -> dict[int, GpuShare]:
    """What each segment that says `gpus=` has, by its index.

    Those that say how many are served in turn, segment by segment: four Sinks with `gpus=1` have a
    GPU each, on a machine that has four.

    Args:
        visible: Finds the GPUs that this process sees; asked only if somebody wants one.

    Raises:
        StartError: One is wanted that is not there.
    """
    shares: dict[int, GpuShare] = {}
    seen: tuple[str, ...] | None = None
    dealt = 0
    for segment in graph.segments:
        declared = segment.declared
        if declared is None or declared.gpus is None:
            continue
        gpus, where = declared.gpus, declared.where
        if gpus in (0, ()):
            shares[segment.index] = GpuShare((), 0)
            continue
        if seen is None:
            seen = visible()
        wanted = f"gpus={gpus if isinstance(gpus, int) else list(gpus)!r} of {where}"
        if not seen:
            raise StartError(f"{wanted}: {_nothing_seen()}")
        if isinstance(gpus, int):
            if gpus > len(seen):
                raise StartError(f"{wanted}: no worker can have that many, {_seen(seen)}")
            shares[segment.index] = GpuShare(seen, gpus, dealt)
            dealt += gpus * segment.n_processes
            continue
        for gpu in gpus:
            if isinstance(gpu, int) and gpu >= len(seen):
                raise StartError(f"{wanted}: there is no GPU {gpu}, {_seen(seen)}")
        names = tuple(seen[gpu] if isinstance(gpu, int) else gpu for gpu in gpus)
        if len(set(names)) < len(names):
            raise StartError(f"{wanted}: it names a GPU twice, {_seen(seen)}")
        shares[segment.index] = GpuShare(names, len(names))
    return shares


def _seen(visible: tuple[str, ...]) -> str:
    shown = f" ({VARIABLE}={os.environ[VARIABLE]})" if VARIABLE in os.environ else ""
    last = f", 0 to {len(visible) - 1}" if len(visible) > 1 else ", 0"
    return f"as this process sees {len(visible)}{last}{shown}"


def _nothing_seen() -> str:
    if VARIABLE in os.environ:
        shown = os.environ[VARIABLE]
        return f"this process sees no GPU, as {VARIABLE}={shown!r} in its environment"
    return (
        "there is no GPU here: neither /dev, nor /proc/driver/nvidia, nor nvidia-smi knows one; "
        f"set {VARIABLE}, if there is one all the same, or leave gpus= away"
    )
