"""Which device tensors are asked for on, and whether it is there."""

from __future__ import annotations

from typing import Any

import torch

from minipipe.errors import MiniPipeError, OptionError


class DeviceError(MiniPipeError, RuntimeError):
    """A device was asked for that is not there."""


def device_of(device: Any) -> Any:
    """Returns the `torch.device` that is meant; None means the CPU.

    Raises:
        OptionError: It is no device, or of a kind that loaders do not copy to.
        DeviceError: It is not there.
    """
    try:
        found = torch.device("cpu" if device is None else device)
    except (RuntimeError, TypeError, ValueError) as error:
        raise OptionError(
            f'device is "cpu", "cuda", "cuda:1" or a torch.device, got {device!r}'
        ) from error
    if found.type == "cpu":
        return found
    if found.type != "cuda":
        raise OptionError(
            f'device is "cpu" or "cuda", got {device!r}: take device="cpu" and copy in the loop '
            f"(`tensor.to({found.type!r})`)"
        )
    _check_cuda(found)
    return found


def _check_cuda(device: Any) -> None:
    if torch.version.cuda is None and getattr(torch.version, "hip", None) is None:
        raise DeviceError(
            f"device={str(device)!r}, but torch {torch.__version__} was built without CUDA: "
            "install a build that has it, or take device='cpu'"
        )
    count = torch.cuda.device_count()
    if not count:
        raise DeviceError(
            f"device={str(device)!r}, but no GPU is to be seen here: nvidia-smi says what the "
            "driver finds, and CUDA_VISIBLE_DEVICES what is shown to this process"
        )
    if device.index is not None and device.index >= count:
        there = "is one GPU" if count == 1 else f"are {count} GPUs"
        last = f" to cuda:{count - 1}" if count > 1 else ""
        raise DeviceError(f"device={str(device)!r}, but there {there} to be seen: cuda:0{last}")
