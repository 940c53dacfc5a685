"""Whether other processes may open what this one has, as those must who see its slots.

They do so through /proc/PID/fd, which the kernel allows to whom it would let trace the process
(ptrace(2), "Ptrace access mode checking").  It does not after prctl(PR_SET_DUMPABLE, 0), after a
change of user (setuid), or in a program with file capabilities.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_PR_GET_DUMPABLE = 3
# PyDLL: this takes less than a microsecond, and must not hand the interpreter lock over.
_prctl = ctypes.PyDLL(None).prctl if sys.platform == "linux" else None


def is_open_to_others() -> bool:
    """Whether others of the same user may open this process's descriptors as of now."""
    if _prctl is None:
        return True
    # Refused (-1), nothing is known of it: then those who are not let in say so.
    return int(_prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0)) in (1, -1)


def lives(pid: int) -> bool:
    """Whether there is such a process, and it has not ended; also of one that is hidden."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True  # another user's, and hidden (hidepid)
        return True
    return state not in "ZX"
