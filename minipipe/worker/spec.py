"""What a worker process is given at its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minipipe.protocol.wiring import Wiring


@dataclass(frozen=True)
class WorkerSpec:
    """All that a worker has to know, but for its task, which travels beside it."""

    run: int
    ident: int
    name: str
    segment: str
    kind: str
    index: int
    num_workers: int
    seed: int  # the worker's
    run_seed: int | None  # that the user gave: the items' follow from it
    wiring: Wiring
    base: str  # base address of the transport
    supervisor: str  # address of the supervisor's inbox
    cwd: str | None
    sys_path: tuple[str, ...]
    argv: tuple[str, ...]
    names: Mapping[int, str]  # of the workers that number items
    directory: str  # of the run
    authkey: bytes  # of multiprocessing: for the managers that the functor holds
    is_late: bool  # it takes the place of one that has died, and is announced when it is ready
    shared_bytes: int  # what its arrays in shared memory may come to; 0: none
    pipeline: int = 0  # the id of the pipeline; 0: it has none


@dataclass(frozen=True)
class Task:
    """What the user has declared: pickled, or inherited, so it is apart from the rest."""

    functor: Any
    init_kwargs: Mapping[str, Any]
    ignored: tuple[type[BaseException], ...]
    term_flag: Any = None
    epochs: int = 1
    strict: bool = True
    read_only_functor: bool = False  # it never writes to what it got or gave
    tolerates: bool = False  # what its functor raises skips the item, as long as that is allowed
    dead_letter: str | None = None  # where skipped items are written to
