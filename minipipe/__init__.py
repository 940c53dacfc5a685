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
    from minipipe.dead_letters.errors import DeadLetterError
    from minipipe.dead_letters.source import DeadLetters
    from minipipe.errors import (
        BuildError,
        FileReadError,
        FunctorError,
        ItemTypeError,
        LifecycleError,
        MessageRefusedError,
        MiniPipeError,
        MissingExtraError,
        OptionError,
        OutputsError,
        PoisonError,
        ResultTooLargeError,
        SentinelError,
        StartError,
        StateError,
        TooManyFailuresError,
        TwicePairedError,
        UnpairedError,
        UnreadableItemError,
        WorkerDiedError,
    )
    from minipipe.pipeline.compare import compare_timelines
    from minipipe.pipeline.execution import RunTimeoutError
    from minipipe.pipeline.line import PipeLine
    from minipipe.pipeline.system import PipeSystem
    from minipipe.process.seeds import rng
    from minipipe.process.worker_info import WorkerInfo, get_worker_info
    from minipipe.programs.ends import Ends
    from minipipe.programs.sink import ZmqSink
    from minipipe.programs.source import ZmqSource
    from minipipe.regulators.batch import Batch
    from minipipe.regulators.errors import CollateError
    from minipipe.regulators.flat_map import FlatMap
    from minipipe.regulators.rebatch import Rebatch
    from minipipe.regulators.shuffle import Shuffle
    from minipipe.regulators.unbatch import Unbatch
    from minipipe.segments.broadcast import Broadcast
    from minipipe.segments.kinds import Regulator, Sink, Source, Transform
    from minipipe.segments.legacy import Logger
    from minipipe.segments.markers import EndOfStream, Sentinel
    from minipipe.segments.segment import Segment
    from minipipe.segments.segment import Segment as Pipe
    from minipipe.segments.streams import Stream
    from minipipe.shm.arrays import ObjectArrayError, empty, empty_like
    from minipipe.sources import Files, MemoryMap, Parquet, TarShards
    from minipipe.transport.curve import CurveClient, CurveKeys, CurveServer

# Where each public name is.  Looked up when it is first used (PEP 562): the process that starts
# the workers needs none of the facade, and everybody waits for its start.
_HOME = {
    "Batch": "regulators.batch",
    "Broadcast": "segments.broadcast",
    "BuildError": "errors",
    "CollateError": "regulators.errors",
    "CurveClient": "transport.curve",
    "CurveKeys": "transport.curve",
    "CurveServer": "transport.curve",
    "DeadLetterError": "dead_letters.errors",
    "DeadLetters": "dead_letters.source",
    "EndOfStream": "segments.markers",
    "Ends": "programs.ends",
    "FileReadError": "errors",
    "Files": "sources.files",
    "FlatMap": "regulators.flat_map",
    "FunctorError": "errors",
    "ItemTypeError": "errors",
    "LifecycleError": "errors",
    "Logger": "segments.legacy",
    "MemoryMap": "sources.memory_map",
    "MessageRefusedError": "errors",
    "MiniPipeError": "errors",
    "MissingExtraError": "errors",
    "ObjectArrayError": "shm.arrays",
    "OptionError": "errors",
    "OutputsError": "errors",
    "Parquet": "sources.parquet",
    "PipeLine": "pipeline.line",
    "PipeSystem": "pipeline.system",
    "PoisonError": "errors",
    "Rebatch": "regulators.rebatch",
    "Regulator": "segments.kinds",
    "RunTimeoutError": "pipeline.execution",
    "Segment": "segments.segment",
    "Sentinel": "segments.markers",
    "SentinelError": "errors",
    "Shuffle": "regulators.shuffle",
    "Sink": "segments.kinds",
    "Source": "segments.kinds",
    "StartError": "errors",
    "StateError": "errors",
    "Stream": "segments.streams",
    "ResultTooLargeError": "errors",
    "TarShards": "sources.tar_shards",
    "TooManyFailuresError": "errors",
    "Transform": "segments.kinds",
    "TwicePairedError": "errors",
    "Unbatch": "regulators.unbatch",
    "UnpairedError": "errors",
    "UnreadableItemError": "errors",
    "WorkerDiedError": "errors",
    "WorkerInfo": "process.worker_info",
    "ZmqSink": "programs.sink",
    "ZmqSource": "programs.source",
    "compare_timelines": "pipeline.compare",
    "empty": "shm.arrays",
    "empty_like": "shm.arrays",
    "get_worker_info": "process.worker_info",
    "rng": "process.seeds",
}
# The base class of all segments had this name in 0.1.9 (`segments/legacy.py`).
_ALIASES = {"Pipe": "Segment"}
# Found as attributes, too: `mp.torch.loader` needs no import beside `import minipipe as mp`.
_PACKAGES = ("torch",)

__all__ = [
    "Batch",
    "Broadcast",
    "BuildError",
    "CollateError",
    "CurveClient",
    "CurveKeys",
    "CurveServer",
    "DeadLetterError",
    "DeadLetters",
    "EndOfStream",
    "Ends",
    "FileReadError",
    "Files",
    "FlatMap",
    "FunctorError",
    "ItemTypeError",
    "LifecycleError",
    "Logger",
    "MemoryMap",
    "MessageRefusedError",
    "MiniPipeError",
    "MissingExtraError",
    "ObjectArrayError",
    "OptionError",
    "OutputsError",
    "Parquet",
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
    "StateError",
    "Stream",
    "TarShards",
    "TooManyFailuresError",
    "Transform",
    "TwicePairedError",
    "Unbatch",
    "UnpairedError",
    "UnreadableItemError",
    "WorkerDiedError",
    "WorkerInfo",
    "ZmqSink",
    "ZmqSource",
    "__version__",
    "compare_timelines",
    "empty",
    "empty_like",
    "get_worker_info",
    "rng",
]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"minipipe.{name}")
    own = _ALIASES.get(name, name)
    home = _HOME.get(own)
    if home is None:
        raise AttributeError(f"module 'minipipe' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"minipipe.{home}"), own)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
