"""Deaths of workers in words: how they ended, at which item, and what is likely to blame."""

from __future__ import annotations

import os
import signal

from minipipe.errors import WorkerDiedError
from minipipe.protocol.run.vital_signs import StartStage
from minipipe.shm import oom_kills
from minipipe.supervisor.hosts.base import Last
from minipipe.supervisor.item_names import item_in
from minipipe.supervisor.processes import WorkerProcesses
from minipipe.supervisor.worker_handle import WorkerHandle
from minipipe.worker.descendants import UNKNOWN

_OFTEN = ", often the kernel out of memory"


class Deaths:
    """The errors of workers that ended unasked.  Made before the first worker is started."""

    def __init__(self, processes: WorkerProcesses) -> None:
        self._processes = processes
        self._oom_kills = oom_kills()

    def error_of(
        self, handle: WorkerHandle, status: int | None, last: Last, lost: str = ""
    ) -> WorkerDiedError:
        """The error of a worker that ended unasked; its handle keeps it, too.

        Args:
            last: what was known of it then.
            status: The wait status of its process; None: it is not known.
            lost: how it was lost together with others, in words.
        """
        how, why = (lost, "") if lost else _in_words(status)
        if last.signs.start < StartStage.LOADING and status not in (None, UNKNOWN):
            how = f"died while starting, before it reached its functor: it {how}"
            why = why if os.WIFSIGNALED(status) else "; why, its last words on stderr may say"
        if last.condemned:
            how, why = f"was killed, as it {handle.hung}", ""
        elif status is not None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == 9:
            why = self._likely_killer() if not handle.host_elsewhere else _OFTEN
        died = WorkerDiedError(
            segment=handle.segment.name,
            worker=handle.name,
            pid=handle.pid,
            how=how,
            item=item_in(
                self._processes.handles, handle, last.signs, alone_to_blame=last.condemned
            ),
            why=why,
            host=handle.host_elsewhere,
        )
        captured = self._processes.captured.get(handle.segment.index)
        if captured is not None and captured.why:
            died = died.because(captured.what_forks_lack)
        handle.death = died.then(handle.segment.on_death, last.stack)
        return handle.death

    def _likely_killer(self) -> str:
        """Whether a SIGKILL that we have not sent was the kernel's."""
        kills = oom_kills()
        if kills is None or self._oom_kills is None:
            return _OFTEN
        if kills == self._oom_kills:
            return ", not for want of memory by the kernel's count"
        self._oom_kills += 1  # one count explains one death
        return ", as the kernel was out of memory (it counts such kills)"


def _in_words(status: int | None) -> tuple[str, str]:
    if status is None:
        return "was lost together with the process that had started it", ""
    if status == UNKNOWN:
        return "ended, and something else in this process has taken its exit status", ""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with exit code {code}", " (os._exit in its functor, or in a library?)"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    why = ""
    if name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL"):
        why = "; where, its stack on stderr says"
    return f"was killed by {name}", why
