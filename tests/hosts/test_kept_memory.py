"""The memory that large frames are received into is used again."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, resource, sys, threading
from minipipe.protocol.hosts.pieces import CHUNK_BYTES
from minipipe.transport.hosts.sockets import keep_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def receive():  # as libzmq's thread does: some frames at a time
    for _ in range(50):
        frames = [libc.malloc(CHUNK_BYTES) for _ in range(8)]
        for frame in frames:
            ctypes.memset(frame, 1, CHUNK_BYTES)
        for frame in frames:
            libc.free(frame)

if sys.argv[1] == "keep":
    keep_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
thread = threading.Thread(target=receive)
thread.start(), thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it is an allocator of Linux that is asked")
def test_memory_of_frames_is_not_given_back_between_them() -> None:
    def faults(what: str) -> int:
        done = subprocess.run([sys.executable, "-c", SCRIPT, what], capture_output=True, check=True)
        return int(done.stdout)

    assert 4 * faults("keep") < faults("not")
