"""How arrays come from this process to a GPU, as far as it is known: for the verdict.

A GPU copies by itself, beside what it computes, from memory that is pinned.  From any other memory
the driver copies to pinned memory first, and who has asked for that waits.
"""

from __future__ import annotations

import os
import sys

_pid = 0  # what stands here is of this process, and not of the one that it was forked from
_staged_ns = 0
_is_ours = False


def _begin() -> None:
    global _pid, _staged_ns, _is_ours
    if _pid != os.getpid():
        _pid, _staged_ns, _is_ours = os.getpid(), 0, False


def begin_uploads() -> None:
    """From now on `minipipe.torch` copies to a GPU here."""
    global _is_ours
    _begin()
    _is_ours = True


def staged(took_ns: int) -> None:
    """A thread has copied arrays to pinned memory for so long, or waited for such a copy."""
    global _staged_ns
    _begin()
    _staged_ns += took_ns


def staged_ns() -> int:
    """For how long that was so in this process."""
    _begin()
    return _staged_ns


def are_its_own() -> bool:
    """Whether this process uses CUDA, and `minipipe.torch` has copied nothing for it."""
    _begin()
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    is_initialized = getattr(cuda, "is_initialized", None)
    return not _is_ours and is_initialized is not None and bool(is_initialized())
