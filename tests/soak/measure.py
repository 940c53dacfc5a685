"""What processes have at this moment: descriptors, threads, sockets, files, memory."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from minipipe.shm.arena import NAME
from tests.conftest import run_directories

# More than this is growth.  Connections come and go by a few, memory by what is cached, and slots
# by how many items are under way: so much may lie free at any time (shm/allocator.py, WARM_BYTES).
SLACK = {
    "descriptors": 8,
    "threads": 2,
    "sockets": 4,
    "files": 4,
    "mappings": 40,
    "megabytes": 24,
    "slot_megabytes": 128,
}


@dataclass
class Sample:
    """What one process has."""

    descriptors: int = 0
    threads: int = 0
    mappings: int = 0
    megabytes: int = 0  # private to it, but for its slots
    slot_megabytes: int = 0  # of its slots, those that nobody else looks at just now
    sockets: int = 0  # of ZeroMQ; of this process only
    files: int = 0  # in the directories of runs; of this process only

    def beyond(self, base: Sample) -> dict[str, tuple[int, int]]:
        """What there is so much more of than in `base` that it has piled up."""
        return {
            name: (getattr(base, name), getattr(self, name))
            for name, slack in SLACK.items()
            if getattr(self, name) > getattr(base, name) + slack
        }


def sample(pid: int) -> Sample | None:
    """What this process has; None if it is gone."""
    place = Path(f"/proc/{pid}")
    try:
        slots, rest = _private_bytes((place / "smaps").read_text())
        found = Sample(
            descriptors=len(os.listdir(place / "fd")),
            threads=len(os.listdir(place / "task")),
            mappings=(place / "maps").read_text().count("\n"),
            megabytes=rest >> 20,
            slot_megabytes=slots >> 20,
        )
    except (FileNotFoundError, ProcessLookupError):
        return None
    if pid == os.getpid():
        gc.collect()
        # By type: isinstance would ask proxies of others (torch's warn of that).
        sockets = [o for o in gc.get_objects() if issubclass(type(o), zmq.Socket)]
        found.sockets = sum(not socket.closed for socket in sockets)
        found.files = sum(len(os.listdir(path)) for path in run_directories())
    return found


def _private_bytes(mappings: str) -> tuple[int, int]:
    """Of its slots, and of all else: what is in the memory of this process only."""
    slots = rest = 0
    in_slots = False
    for line in mappings.splitlines():
        word, *others = line.split()
        if not word.endswith(":"):
            in_slots = any(part.startswith(f"/memfd:{NAME}") for part in others)
        elif word.startswith("Private_"):
            size_bytes = 1024 * int(others[0])
            slots, rest = slots + in_slots * size_bytes, rest + (not in_slots) * size_bytes
    return slots, rest


@dataclass
class Growth:
    """Compares what long-lived processes have with what they had after a while.

    Args:
        warm_up: so many samples of a process do not count yet: caches fill.
    """

    warm_up: int = 2
    _base: dict[int, tuple[int, Sample]] = field(default_factory=dict)
    last: dict[int, Sample] = field(default_factory=dict)

    def look(self, pids: Iterable[int]) -> None:
        """Takes a sample of each of these."""
        for pid in pids:
            now = sample(pid)
            if now is None:
                continue
            count, base = self._base.get(pid, (0, now))
            if count < self.warm_up:  # the most that there was so far
                names = SLACK
                base = Sample(**{n: max(getattr(base, n), getattr(now, n)) for n in names})
                self._base[pid] = (count + 1, base)
            self.last[pid] = now

    def piled_up(self) -> dict[int, dict[str, tuple[int, int]]]:
        """By process, what there is more of: before and now."""
        beyond = {pid: now.beyond(self._base[pid][1]) for pid, now in self.last.items()}
        return {pid: what for pid, what in beyond.items() if what}

    def __str__(self) -> str:
        lines = [f"  {pid}: {self._base[pid][1]}\n    -> {now}" for pid, now in self.last.items()]
        return "\n".join(lines)
