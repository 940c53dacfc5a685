"""What a worker process is given at its start."""

from __future__ import annotations

from dataclasses import dataclass

from minipipe.stream.wiring import Wiring


@dataclass(frozen=True)
class WorkerSpec:
    """All that a worker has to know, but for its functor, which travels beside it."""

    run: int
    ident: int
    name: str
    segment: str
    kind: str
    index: int
    num_workers: int
    seed: int
    wiring: Wiring
    base: str  # base address of the transport
    supervisor: str  # address of the supervisor's inbox
    cwd: str | None
    sys_path: tuple[str, ...]
    argv: tuple[str, ...]
