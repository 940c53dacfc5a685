"""From shared memory to a device: whether it is right, and how fast."""

from __future__ import annotations

import itertools
import time
from functools import partial
from typing import Any

import torch

import minipipe as mp
import minipipe.torch
from benchmarks.gpu.images import numbered
from benchmarks.gpu.measuring import Size
from minipipe.torch.devices import device_of
from minipipe.torch.uploads_of import uploads_of

ROUNDS = 20
IDLE_S = 12.0  # the owner of a slot wants to give its memory back after 10 s


def check(size: Size) -> dict[str, float]:
    """Whether each array arrives as it was sent, while slots are given back and refilled.

    First many in turn through few slots; then after a pause, in which their owner wants to give
    memory back to the machine that the device's driver has pinned; then others, of another size.

    Raises:
        RuntimeError: One does not.
    """
    seen = 0
    for size_bytes, pause_s in ((size.copied // 8, IDLE_S), (size.copied // 16, 0.0)):
        with mp.PipeLine([mp.Source(partial(numbered, 40, size_bytes))], persistent=True) as pline:
            for turn in range(2):
                late: list[Any] = []
                for number, tensor in enumerate(
                    minipipe.torch.loader(pline, device=size.device, prefetch=4)
                ):
                    late.append((number, tensor))
                    if len(late) > 3:  # looked at when its slot has been refilled
                        _compare(*late.pop(0))
                        seen += 1
                for one in late:
                    _compare(*one)
                    seen += 1
                if not turn and size.seconds >= 1:
                    time.sleep(pause_s)
    found = {"arrays": float(seen)}
    if torch.device(size.device).type == "cuda":
        # 0: the driver has refused, and all went by pinned buffers, which this says nothing of.
        found["MiB_registered"] = uploads_of(device_of(size.device)).registered_bytes / 2**20
    return found


def _compare(number: int, tensor: Any) -> None:
    low, high = int(tensor.min()), int(tensor.max())
    if (low, high) != (number, number):
        raise RuntimeError(f"array {number} came with {low} to {high}: memory was read too late")


def rates(size: Size) -> dict[str, float]:
    """Copies to the device, GB/s: from slots, from pinned and from ordinary memory."""
    device = torch.device(size.device)
    found = {"pageable": _rate(_tensors(size, pinned=False), device)}
    if device.type == "cuda":
        found["pinned"] = _rate(_tensors(size, pinned=True), device)
    pline = mp.PipeLine([mp.Source(partial(numbered, 4, size.copied))])
    arrays = list(itertools.islice(iter(pline), 4))
    found["slots"] = _rate([[array] for array in arrays], device, by_slots=True)
    return found


def _tensors(size: Size, *, pinned: bool) -> list[Any]:
    return [torch.zeros(size.copied, dtype=torch.uint8, pin_memory=pinned) for _ in range(4)]


def _rate(items: list[Any], device: Any, *, by_slots: bool = False) -> float:
    size_bytes = sum(int(item[0].nbytes if by_slots else item.nbytes) for item in items)

    def once() -> None:
        for item in items:
            if by_slots:
                minipipe.torch.to_device(item, device)
            elif device.type == "cuda":
                item.to(device, non_blocking=True)
            else:
                item.clone()

    once()  # registers slots, fills caches of memory
    _finish(device)
    began_s = time.monotonic()
    for _ in range(ROUNDS):
        once()
    _finish(device)
    return ROUNDS * size_bytes / (time.monotonic() - began_s) / 1e9


def _finish(device: Any) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
