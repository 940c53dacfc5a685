"""What processes have used of the processors, to the microsecond (Linux)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator


def _of_threads(pids: Iterable[int], what: str) -> Iterator[str]:
    """What the kernel says under this name of each thread of these processes that is there."""
    for pid in pids:
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for thread in threads:
            try:
                with open(f"/proc/{pid}/task/{thread}/{what}") as file:
                    yield file.read()
            except OSError:
                continue


def cpu_s(pids: Iterable[int]) -> float:
    """The time on a processor of all threads of these processes, in seconds."""
    return sum(int(text.split()[0]) for text in _of_threads(pids, "schedstat")) / 1e9


def switches(pids: Iterable[int]) -> int:
    """How often all threads of these processes have gone to sleep, and so were woken."""
    lines = (line for text in _of_threads(pids, "status") for line in text.splitlines())
    return sum(int(s.split()[1]) for s in lines if s.startswith("voluntary_ctxt_switches"))
