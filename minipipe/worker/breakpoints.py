"""What `breakpoint()` does in a worker, which has no terminal."""

from __future__ import annotations

import os
import sys


def _no_breakpoint(*args: object, **kwargs: object) -> None:
    raise RuntimeError(
        "breakpoint() in a worker process has no terminal: run the pipeline in this process "
        "with build(inline=True), or set MINIPIPE_INLINE=1"
    )


def forbid_breakpoints() -> None:
    """Makes `breakpoint()` an error that says what to do."""
    sys.breakpointhook = _no_breakpoint
    os.environ.pop("PYTHONBREAKPOINT", None)
