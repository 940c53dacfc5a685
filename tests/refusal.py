"""System calls refused by the kernel, as a container's seccomp profile refuses them."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

# By machine: <asm/unistd.h>.
NUMBERS = {
    "x86_64": {
        "flock": 73,
        "memfd_create": 319,
        "pidfd_open": 434,
        "prctl": 157,
        "sched_getaffinity": 204,
        "setpgid": 109,
        "timerfd_create": 283,
        "waitid": 247,
    },
    "aarch64": {
        "flock": 32,
        "memfd_create": 279,
        "pidfd_open": 434,
        "prctl": 167,
        "sched_getaffinity": 123,
        "setpgid": 154,
        "timerfd_create": 85,
        "waitid": 95,
    },
}
_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2


def refuse(**errors: int) -> None:
    """From now on these calls fail, in this process and all that it starts, with these errors."""
    numbers = NUMBERS[platform.machine()]
    code = [struct.pack("HBBI", _LOAD_WORD, 0, 0, 0)]  # the number of the call
    for name, error in errors.items():
        code.append(struct.pack("HBBI", _JUMP_IF_EQUAL, 0, 1, numbers[name]))
        code.append(struct.pack("HBBI", _RETURN, 0, 0, _ERRNO | error))
    code.append(struct.pack("HBBI", _RETURN, 0, 0, _ALLOW))
    instructions = ctypes.create_string_buffer(b"".join(code))
    program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _FILTER, program, 0, 0),
    ):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "no seccomp filter")


def run_refused(
    errors: Mapping[str, int], code: str, cwd: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs a script in an interpreter that is refused these calls; skips where that cannot be."""
    if sys.platform != "linux" or platform.machine() not in NUMBERS:
        pytest.skip("seccomp filters are written here for Linux on x86-64 and arm64")
    root = str(Path(__file__).parents[1])
    begin = f"from tests.refusal import refuse\nrefuse(**{dict(errors)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", begin + code],
        env={**os.environ, "PYTHONPATH": root, **variables},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if "no seccomp filter" in done.stderr:
        pytest.skip("this kernel, or this container, takes no seccomp filter")
    return done
