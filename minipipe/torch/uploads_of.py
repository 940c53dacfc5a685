"""The uploads of this process, one for each device: loaders and trainers share them."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from typing import Any

import torch

from minipipe.process import gpu_copies
from minipipe.process.worker_info import get_worker_info
from minipipe.torch.devices import DeviceError
from minipipe.torch.driver import Driver
from minipipe.torch.uploads import Uploads

_uploads: dict[tuple[int, str], Uploads] = {}


def _cuda(device: Any) -> Driver:
    from minipipe.torch.cuda_driver import CudaDriver

    return CudaDriver(device)


# By the type of the device.  (Tests have one that needs no device.)
DRIVERS: dict[str, Callable[[Any], Driver]] = {"cuda": _cuda}


def uploads_of(device: Any, prefetch: int = 2) -> Uploads:
    """Returns what copies to a device, which this process then holds until it ends.

    Raises:
        DeviceError: This process was forked from one that had initialised CUDA.
    """
    check_not_forked()
    key = os.getpid(), str(device)
    found = _uploads.get(key)
    if found is None:
        # (Those of a parent are left as they are: the driver's memory is the parent's.)
        found = _uploads[key] = Uploads(DRIVERS[device.type](device))
        gpu_copies.begin_uploads()
        atexit.register(_close, key)
    found.most = max(found.most, prefetch + 2)
    return found


def _close(key: tuple[int, str]) -> None:
    if key[0] == os.getpid():
        uploads = _uploads.pop(key, None)
        if uploads is not None:
            uploads.close()


def check_not_forked() -> None:
    """Raises `DeviceError` where CUDA cannot be used, as it was in use before this was forked."""
    is_bad: Any = getattr(torch.cuda, "_is_in_bad_fork", lambda: False)
    if not is_bad():
        return
    info = get_worker_info()
    who = "this process" if info is None else f"worker {info.id} of segment {info.segment!r}"
    raise DeviceError(
        f"{who} was forked from a process that had used CUDA already, and CUDA does not survive "
        "that: use CUDA there only after run() (also torch.cuda.is_available() uses it, unless "
        "PYTORCH_NVML_BASED_CUDA_CHECK=1), or give the segment a functor that can be pickled, "
        "such as a class, whose workers are not forked from your process"
    )
