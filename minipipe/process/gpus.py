"""Which GPUs this process sees, found out without CUDA: a context of it survives no fork."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

SMI_S = 20.0  # a driver that nobody else uses at the time takes seconds to wake up


def visible_gpus(environment: Mapping[str, str], root: Path = Path("/")) -> tuple[str, ...]:
    """The GPUs that this process sees, each as CUDA_VISIBLE_DEVICES of a child would name it.

    Args:
        environment: Of this process. Where it has CUDA_VISIBLE_DEVICES, that is believed.
        root: Where the file system begins.
    """
    shown = environment.get("CUDA_VISIBLE_DEVICES")
    if shown is not None:
        return _listed(shown)
    # A container is given the files of those GPUs that it may use, but often sees them all in
    # /proc. A machine makes the files only when its first GPU is first used.
    nodes = [p for p in _names(root / "dev") if re.fullmatch(r"nvidia\d+", p)]
    found = len(nodes or _names(root / "proc/driver/nvidia/gpus"))
    return tuple(map(str, range(found or _by_smi(environment))))


def _listed(shown: str) -> tuple[str, ...]:
    """What CUDA makes of the variable: it ends at the first that is no GPU.

    One that is named twice makes it see none.
    """
    found: list[str] = []
    for word in map(str.strip, shown.split(",")):
        if not re.fullmatch(r"[0-9]+|(GPU|MIG)-.+", word):
            break
        if word in found:
            return ()
        found.append(word)
    return tuple(found)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []  # there is no such thing here


def _by_smi(environment: Mapping[str, str]) -> int:
    """Where there are no such files (WSL); 0, if there is no such program, either."""
    program = shutil.which("nvidia-smi", path=environment.get("PATH"))
    if program is None:
        return 0
    try:
        done = subprocess.run(
            [program, "-L"],
            env=dict(environment),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SMI_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return len(re.findall(r"^GPU \d+:", done.stdout, re.MULTILINE))
