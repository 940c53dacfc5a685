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
    from minipipe.errors import (
        BuildError,
        FunctorError,
        ItemTypeError,
        LifecycleError,
        MiniPipeError,
        OptionError,
        StartError,
        WorkerDiedError,
    )
    from minipipe.execution import RunTimeoutError
    from minipipe.pipeline import PipeLine
    from minipipe.segment import Sentinel, Sink, Source, Transform
    from minipipe.worker.info import WorkerInfo, get_worker_info

# Where each public name is.  Looked up when it is first used (PEP 562): the process that starts
# the workers needs none of the facade, and everybody waits for its start.
_HOME = {
    "BuildError": "errors",
    "FunctorError": "errors",
    "ItemTypeError": "errors",
    "LifecycleError": "errors",
    "MiniPipeError": "errors",
    "OptionError": "errors",
    "PipeLine": "pipeline",
    "RunTimeoutError": "execution",
    "Sentinel": "segment",
    "Sink": "segment",
    "Source": "segment",
    "StartError": "errors",
    "Transform": "segment",
    "WorkerDiedError": "errors",
    "WorkerInfo": "worker.info",
    "get_worker_info": "worker.info",
}

__all__ = [
    "BuildError",
    "FunctorError",
    "ItemTypeError",
    "LifecycleError",
    "MiniPipeError",
    "OptionError",
    "PipeLine",
    "RunTimeoutError",
    "Sentinel",
    "Sink",
    "Source",
    "StartError",
    "Transform",
    "WorkerDiedError",
    "WorkerInfo",
    "__version__",
    "get_worker_info",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'minipipe' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"minipipe.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
