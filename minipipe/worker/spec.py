"""What a worker process is given at its start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from minipipe.process.log_levels import NO_LEVELS, LogLevels
from minipipe.process.worker_info import WorkerInfo
from minipipe.protocol.delivery.membership import LOCAL_HOST
from minipipe.protocol.frozen import frozen
from minipipe.protocol.run.beginning import Skip
from minipipe.protocol.wiring import Wiring
from minipipe.segments.batching import Batching
from minipipe.segments.shares import Share
from minipipe.segments.worker_init import WorkerInit


@frozen
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
    common_seed: int  # of all workers of the segment
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
    persistent: bool = False  # it goes through pass after pass
    pipeline: int = 0  # the id of the pipeline; 0: it has none
    trace: tuple[int, int] | None = None  # how many spans it may write down, if that is wished
    log_levels: LogLevels = NO_LEVELS  # of the caller
    displays: bool = False  # the caller is a notebook, which shows what its workers display
    skip: Skip | None = None  # of a Source: what it goes past first
    host: str = LOCAL_HOST  # that it runs on
    gateway: str = ""  # address here of who sends on to other hosts; nothing: there are none
    shipped: str = ""  # where the user's code was unpacked there; nothing: nowhere
    importable: tuple[str, ...] = ()  # modules that are imported if an item is of a class there
    script: Mapping[str, bytes] = field(default_factory=dict)  # pickles of classes of the script
    plain: bool = False  # what may come here from other hosts holds no pickles: nor does anything

    @property
    def info(self) -> WorkerInfo:
        """What the functor may ask for, at the worker's start."""
        about = (self.segment, self.name, self.index, self.num_workers)
        return WorkerInfo(*about, self.seed, self.common_seed)

    @property
    def share(self) -> Share:
        """Of a Source's worker: which of how many it is."""
        return Share(self.index, self.num_workers)

    @property
    def barred(self) -> str:
        """What to say when others may not open what this worker has."""
        return (
            f"{self.kind} {self.segment!r}: its large arrays travel inside messages, which is "
            "slower, as other processes may not look into this one (PR_SET_DUMPABLE, a change of "
            "user, or file capabilities)"
        )


@frozen
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
    threads: int = 1  # that call its functor at once
    batching: Batching | None = None  # it makes batches of what its functor gives
    worker_init: WorkerInit | None = None  # is called before the functor is made


def current_directory() -> str | None:
    """Where workers are to be, too; None: it was deleted, so there is nothing to go to."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None
