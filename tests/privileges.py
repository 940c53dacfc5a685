"""A process that may not look into others that have forbidden it, as an ordinary user may not."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

_PR_CAPBSET_DROP, _CAP_SYS_PTRACE = 24, 19

# What root may in any case is taken away for good, then the interpreter begins anew without it.
_ORDINARY = """
import os, sys
from tests.privileges import drop
drop()
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""


def drop() -> None:
    """From the next program on, this process may look into no process that has forbidden it."""
    ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_SYS_PTRACE, 0, 0, 0)


def run_ordinary(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a script as one without privileges, whoever runs the tests."""
    return subprocess.run(
        [sys.executable, "-c", _ORDINARY, code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )
