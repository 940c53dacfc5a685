"""What the processes of a run really hold, by the kernel's own account."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from minipipe.pipeline.line import PipeLine

START_POLL_S = 0.01
SAMPLE_S = 0.5  # reading one process takes the kernel 2 ms, which the job pays for


class MemoryWatch:
    """Samples what a run's workers hold while the `with` block lasts.

    The measure is `Anonymous` and `Pss_Shmem` of `/proc/PID/smaps_rollup` (Linux 5.10 and later):
    what a process has for itself, and its share of what is lent.  A page that it has from its
    zygote counts as its own from the start: when it is written to and copied, it is no more than
    was counted before.  Pages of files, such as the code of libraries, are not counted: the kernel
    has them anyway.

    Args:
        pline: a pipeline that has just been started.
    """

    def __init__(self, pline: PipeLine) -> None:
        self.startup_s: float | None = None  # until every worker was ready
        self._pline = pline
        self._began_s = time.perf_counter()
        self._first: int | None = None
        self._peak: int | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="demo-memory", daemon=True)

    @property
    def peak_bytes(self) -> int | None:
        """The most that was held, beyond the first sample; None where that cannot be read."""
        if self._first is None or self._peak is None:
            return None
        return self._peak - self._first

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _watch(self) -> None:
        # Once they have started, `local_init` has imported everything, and nothing has flowed yet.
        while any(worker.state == "starting" for worker in self._pline.stats().workers):
            if self._ending.wait(START_POLL_S):
                return
        self.startup_s = time.perf_counter() - self._began_s
        pids = [worker.pid for worker in self._pline.stats().workers]
        self._first = self._peak = held_bytes(pids)
        while self._peak is not None and not self._ending.wait(SAMPLE_S):
            # When some have gone, what they shared would be counted with those that have not.
            sample = held_bytes(pids)
            if sample is not None:
                self._peak = max(self._peak, sample)


def held_bytes(pids: Sequence[int]) -> int | None:
    """What these processes hold together; None if one of them cannot be read."""
    total_kib = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            return None
        fields = dict(line.split(":", 1) for line in text.splitlines()[1:])
        if "Pss_Shmem" not in fields:
            return None
        for name in ("Anonymous", "Pss_Shmem"):
            total_kib += int(fields[name].removesuffix("kB"))
    return total_kib * 1024
