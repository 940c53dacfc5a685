"""MiniPipe: mini-batch pipelines over processes, on ZeroMQ.

import minipipe as mp

pline = mp.PipeLine()
pline.add(mp.Source(range(10)))
pline.add(mp.Transform(lambda x: x * x), n_processes=2)
for square in pline:
    print(square)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from minipipe.version import __version__

if TYPE_CHECKING:
    from minipipe.dead_letters import DeadLetterError, DeadLetters
    from minipipe.errors import (
        BuildError,
        FunctorError,
        ItemTypeError,
        LifecycleError,
        MiniPipeError,
        MissingExtraError,
        OptionError,
        OutputsError,
        PoisonError,
        ResultTooLargeError,
        SentinelError,
        StartError,
        TooManyFailuresError,
        TwicePairedError,
        UnpairedError,
        UnreadableItemError,
        WorkerDiedError,
    )
    from minipipe.pipeline.execution import RunTimeoutError
    from minipipe.pipeline.line import PipeLine
    from minipipe.pipeline.system import PipeSystem
    from minipipe.process.seeds import rng
    from minipipe.process.worker_info import WorkerInfo, get_worker_info
    from minipipe.regulators import Batch, CollateError, FlatMap, Rebatch, Shuffle, Unbatch
    from minipipe.segments.broadcast import Broadcast
    from minipipe.segments.kinds import Regulator, Sink, Source, Transform
    from minipipe.segments.legacy import Logger
    from minipipe.segments.markers import EndOfStream, Sentinel
    from minipipe.segments.segment import Segment
    from minipipe.segments.segment import Segment as Pipe
    from minipipe.segments.streams import Stream
    from minipipe.shm.arrays import ObjectArrayError, empty, empty_like

# Where each public name is.  Looked up when it is first used (PEP 562): the process that starts
# the workers needs none of the facade, and everybody waits for its start.
_HOME = {
    "Batch": "regulators",
    "Broadcast": "segments.broadcast",
    "BuildError": "errors",
    "CollateError": "regulators",
    "DeadLetterError": "dead_letters",
    "DeadLetters": "dead_letters",
    "EndOfStream": "segments.markers",
    "FlatMap": "regulators",
    "FunctorError": "errors",
    "ItemTypeError": "errors",
    "LifecycleError": "errors",
    "Logger": "segments.legacy",
    "MiniPipeError": "errors",
    "MissingExtraError": "errors",
    "ObjectArrayError": "shm.arrays",
    "OptionError": "errors",
    "OutputsError": "errors",
    "PipeLine": "pipeline.line",
    "PipeSystem": "pipeline.system",
    "PoisonError": "errors",
    "Rebatch": "regulators",
    "Regulator": "segments.kinds",
    "RunTimeoutError": "pipeline.execution",
    "Segment": "segments.segment",
    "Sentinel": "segments.markers",
    "SentinelError": "errors",
    "Shuffle": "regulators",
    "Sink": "segments.kinds",
    "Source": "segments.kinds",
    "StartError": "errors",
    "Stream": "segments.streams",
    "ResultTooLargeError": "errors",
    "TooManyFailuresError": "errors",
    "Transform": "segments.kinds",
    "TwicePairedError": "errors",
    "Unbatch": "regulators",
    "UnpairedError": "errors",
    "UnreadableItemError": "errors",
    "WorkerDiedError": "errors",
    "WorkerInfo": "process.worker_info",
    "empty": "shm.arrays",
    "empty_like": "shm.arrays",
    "get_worker_info": "process.worker_info",
    "rng": "process.seeds",
}
# The base class of all segments had this name in 0.1.9 (`segments/legacy.py`).
_ALIASES = {"Pipe": "Segment"}

__all__ = [
    "Batch",
    "Broadcast",
    "BuildError",
    "CollateError",
    "DeadLetterError",
    "DeadLetters",
    "EndOfStream",
    "FlatMap",
    "FunctorError",
    "ItemTypeError",
    "LifecycleError",
    "Logger",
    "MiniPipeError",
    "MissingExtraError",
    "ObjectArrayError",
    "OptionError",
    "OutputsError",
    "Pipe",
    "PipeLine",
    "PipeSystem",
    "PoisonError",
    "Rebatch",
    "Regulator",
    "ResultTooLargeError",
    "RunTimeoutError",
    "Segment",
    "Sentinel",
    "SentinelError",
    "Shuffle",
    "Sink",
    "Source",
    "StartError",
    "Stream",
    "TooManyFailuresError",
    "Transform",
    "TwicePairedError",
    "Unbatch",
    "UnpairedError",
    "UnreadableItemError",
    "WorkerDiedError",
    "WorkerInfo",
    "__version__",
    "empty",
    "empty_like",
    "get_worker_info",
    "rng",
]


def __getattr__(name: str) -> Any:
    own = _ALIASES.get(name, name)
    home = _HOME.get(own)
    if home is None:
        raise AttributeError(f"module 'minipipe' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"minipipe.{home}"), own)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
