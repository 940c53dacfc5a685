"""Items as tensors for trainers that are segments."""

from __future__ import annotations

from typing import Any

from minipipe.torch.devices import device_of
from minipipe.torch.tensors import with_tensors
from minipipe.torch.uploads_of import check_not_forked, uploads_of


def to_device(item: Any, device: Any = None) -> Any:
    """Returns an item with tensors on a device in the place of its arrays, nested as it came.

    In a segment's `run`, with what it got: arrays in shared memory are copied straight from there,
    beside what the GPU computes, and the memory is given back when that is done. This thread does
    not wait; what it computes with the tensors does. On the CPU nothing is copied that may be
    written to. Whatever else is in the item stays as it is.

    Args:
        item: It must not be written to afterwards.
        device: None or "cpu", "cuda", "cuda:1", a `torch.device`.

    Raises:
        TensorError: No tensor can be made of an array.
        DeviceError: The device does not exist, or cannot be used in a process like this.
    """
    if device is not None and str(device).startswith("cuda"):
        check_not_forked()
    found = device_of(device)
    if found.type == "cpu":
        return with_tensors(item)
    uploads = uploads_of(found)
    return uploads.finished(uploads.begin(item))
