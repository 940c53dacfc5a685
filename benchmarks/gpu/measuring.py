"""How fast a model is trained by a feed, and what that takes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.cpu import cpu_s
from benchmarks.gpu.models import Trainer


@dataclass(frozen=True)
class Size:
    """What is measured, and for how long.

    Attributes:
        device: "cuda", "cuda:1" or "cpu".
        batch: Images in one.
        image: Their height and width.
        width: Channels of the model's first stage.
        workers: Processes that decode.
        models: How many are trained side by side.
        seconds: Of each measurement, behind the first `warm_up` batches.
        copied: Bytes of an array in the parts that copy only.
    """

    device: str
    batch: int
    image: int
    width: int
    workers: int
    models: int
    seconds: float
    warm_up: int
    copied: int

    @classmethod
    def full(cls, device: str) -> Size:
        # (Beside the trainers something has to be left for their hosts.)
        workers = max(2, len(os.sched_getaffinity(0)) - 2)
        return cls(device, 256, 224, 64, workers, 4, 15.0, 20, 256 << 20)

    @classmethod
    def small(cls, device: str) -> Size:
        # (With fewer channels torch 2.13 itself writes past its memory on the CPU.)
        return cls(device, 4, 32, 8, 1, 1, 0.01, 1, 1 << 20)


def trained(trainer: Trainer, batches: Iterable[Any], size: Size) -> dict[str, float]:
    """Trains for `size.seconds`; returns what came of it.

    Args:
        batches: Images and labels, on the device.
    """
    waited_s, began_s, cpu_began_s, count = 0.0, 0.0, 0.0, 0
    iterator = iter(batches)
    while True:
        asked_s = time.monotonic()
        images, labels = next(iterator)
        got_s = time.monotonic()
        if began_s:
            waited_s += got_s - asked_s
        trainer.step(images, labels)
        count += 1
        if count == size.warm_up:
            trainer.finish()
            began_s, cpu_began_s = time.monotonic(), cpu_s(family())
        elif began_s and time.monotonic() - began_s >= size.seconds:
            break
    trainer.finish()
    took_s, used_s = time.monotonic() - began_s, cpu_s(family()) - cpu_began_s
    images_seen = (count - size.warm_up) * size.batch
    return {
        "images_per_s": images_seen / took_s,
        "waits": waited_s / took_s,
        "cpu_ms_an_image": 1000 * used_s / images_seen,
    }


def family() -> list[int]:
    """This process, and all that have come of it."""
    children: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = place.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended just now
        children.setdefault(int(words[1]), []).append(int(place.parent.name))
    found = [os.getpid()]
    for pid in found:  # grows as it goes
        found += children.get(pid, [])
    return found


def described(size: Size) -> str:
    return ", ".join(f"{key} {value:g}" for key, value in asdict(size).items() if key != "device")
