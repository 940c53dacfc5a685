"""`python -m benchmarks.throughput.environments [NAME ...]`: installs the peers.

Each in an environment of its own under .venv/peers: they conflict with each other or are heavy,
and minipipe 0.1.9 has our import name.  What can be in ours is the extra `bench`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks import older

HOME = older.PEER.parent
# For each environment, what to try, best first.  (PyPI's torch for Linux brings CUDA along, which
# is not used here.)
REQUIREMENTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "torch": (("torch==2.13.0",), ("torch~=2.13",), ("torch",)),
    "spdl": (("spdl-core==0.8.0",), ("spdl-core",)),
    "grain": (("grain==0.2.18",), ("grain",)),
    "ray": (("ray[data]==2.60.0",), ("ray[data]",)),
}
OLDER = older.PEER.name
HINT = "make bench-peers"
_STAMP = ".installed"  # as in the Makefile: an interrupted installation does not count


def python_of(environment: str | None) -> Path | None:
    """The interpreter of a peer; None if it is not installed.  Installs nothing."""
    if environment is None:
        return Path(sys.executable)
    home = HOME / environment
    python = home / "bin" / "python"
    # That of 0.1.9 is made by `older`, which leaves no stamp.
    complete = environment == OLDER or (home / _STAMP).exists()
    return python if complete and python.exists() else None


def install(environment: str) -> str | None:
    """The environment is there; returns why not if it cannot be had."""
    if python_of(environment) is not None:
        return None
    if environment == OLDER:
        return None if older.peer_python() else "minipipe==0.1.9 cannot be installed"
    home = HOME / environment
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    error = ""
    for wanted in REQUIREMENTS[environment]:
        # Our NumPy if the peer allows it: the copies are its memcpy.
        for numpy in (f"numpy=={np.__version__}", "numpy"):
            done = subprocess.run([*pip, *wanted, numpy], capture_output=True, text=True)
            if done.returncode == 0:
                (home / _STAMP).touch()
                return None
            error = (done.stderr.strip() or f"pip ended with {done.returncode}").splitlines()[-1]
    return error


def main() -> int:
    """Installs what is named, or all; exit code 1 if something cannot be had."""
    known = [OLDER, *REQUIREMENTS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput.environments")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    names = parser.parse_args().names or known
    unknown = set(names) - set(known)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))} (known: {', '.join(known)})")
    failed = False
    for name in names:
        print(f"{name} in {os.path.relpath(HOME / name)} ...", flush=True)
        error = install(name)
        if error is not None:
            failed = True
            print(f"{name}: {error}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
