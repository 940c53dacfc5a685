"""Whether slots work here."""

from __future__ import annotations

import os
import sys
from functools import cache

from minipipe.shm.arena import make_arena, open_arena, proc_fd_path
from minipipe.shm.locks import read_lock, write_lock
from minipipe.shm.mapping import PAGE_BYTES


@cache
def obstacle() -> str | None:
    """Why slots do not work here, in words; None if they do.  Found out once, by trying."""
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return f"shared memory slots need 64-bit Linux, and this is {sys.platform}"
    try:
        return _try()
    except (OSError, AttributeError) as exc:
        return f"this kernel cannot do shared memory slots: {exc}"


def supported() -> bool:
    """Whether slots work here."""
    return obstacle() is None


def _try() -> str | None:
    ours = make_arena(2, PAGE_BYTES, os.posix_fallocate)
    theirs = None
    try:
        ours.allocate(0, os.posix_fallocate)
        theirs = open_arena(os.getpid(), ours.fd, ours.id)
        if theirs is None:
            return f"a descriptor cannot be opened through {proc_fd_path(os.getpid(), ours.fd)}"
        # If both descriptors were one description, their locks would not exclude each other.
        if not read_lock(theirs.fd, 0) or write_lock(ours.fd, 0) or not write_lock(ours.fd, 1):
            return "this kernel's F_OFD_SETLK does not keep descriptions apart"
        theirs.close()
        if not ours.renew(0) or not ours.give_back(0):
            return "this kernel does not give up locks or memory that are no longer needed"
    finally:
        ours.close()
        if theirs is not None:
            theirs.close()
    return None
