"""Where MiniPipe can run in processes: which systems, which builds of Python."""

from __future__ import annotations

import sys
import sysconfig

from minipipe.errors import BuildError


def check_processes_work_here() -> None:
    """Sees that a pipeline can run in processes here, before any starts.

    Raises:
        BuildError: it cannot, and why.
    """
    if sys.platform == "win32":
        raise BuildError(
            "MiniPipe runs on Linux and macOS: on Windows use WSL 2 "
            "(or build(inline=True), for debugging)"
        )
    if not has_interpreter_lock():
        raise BuildError(
            "this Python runs without its global interpreter lock, which MiniPipe's workers rely "
            "on: set PYTHON_GIL=1 (or start python -X gil=1), or use a build with the lock "
            "(build(inline=True) works without it)"
        )


def has_interpreter_lock() -> bool:
    """Whether one thread runs Python code at a time.

    The hand-over of a worker's sockets between its two threads (`stream.handover`) and the
    division of a large copy (`shm.copying`) take the order of their accesses from that lock.
    """
    enabled = getattr(sys, "_is_gil_enabled", None)  # from Python 3.13 on
    return enabled is None or bool(enabled())


def with_interpreter_lock(environment: dict[str, str]) -> dict[str, str]:
    """The environment of an interpreter that has the lock, also in a build that can do without.

    (`-X gil=1` is not among the flags that `subprocess` passes on.)
    """
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return {"PYTHON_GIL": "1", **environment}
    return environment
