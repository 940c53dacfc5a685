"""What workers make: JPEGs that they decode, arrays that are numbered.

This module imports no torch, as each worker imports it.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
from collections.abc import Iterator
from typing import Any

import numpy as np

import minipipe as mp

DIFFERENT = 32


class Jpegs:
    """A map-style dataset of images, uint8[size, size, 3], and labels, decoded at each access.

    Args:
        count: How many there are; each JPEG comes many times.
        size: What is cut out, in pixels.
        height, width: Of the JPEGs.
    """

    def __init__(self, count: int, size: int, height: int = 375, width: int = 500) -> None:
        self.count = count
        self.size = size
        self.by_opencv = importlib.util.find_spec("cv2") is not None
        rng = np.random.default_rng(0)
        self.files = [_encoded(rng, height, width) for _ in range(DIFFERENT)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], int]:
        image = self._decoded(self.files[i % DIFFERENT])
        y, x = (
            (i * 7919) % (len(image) - self.size + 1),
            (i * 104_729) % (image.shape[1] - self.size + 1),
        )
        return np.ascontiguousarray(image[y : y + self.size, x : x + self.size]), i % 10

    def _decoded(self, file: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
        if self.by_opencv:
            cv2: Any = importlib.import_module("cv2")
            cv2.setNumThreads(1)
            return np.asarray(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR))
        pillow: Any = importlib.import_module("PIL.Image")
        return np.asarray(pillow.open(io.BytesIO(file)).convert("RGB"))

    @property
    def decoder(self) -> str:
        return "OpenCV" if self.by_opencv else "Pillow"


def numbered(count: int, size_bytes: int) -> Iterator[Any]:
    """Arrays that are full of their number, each in a slot that was refilled for it."""
    for number in range(count):
        array = mp.empty(size_bytes // 8, np.int64)
        array.fill(number)
        yield array


def _encoded(rng: np.random.Generator, height: int, width: int) -> bytes:
    """A JPEG with edges and some noise, about as large as a photograph's."""
    pillow: Any = importlib.import_module("PIL.Image")
    coarse = rng.integers(0, 256, (height // 25 + 1, width // 25 + 1, 3), dtype=np.uint8)
    image = np.kron(coarse, np.ones((25, 25, 1), np.uint8))[:height, :width].astype(np.int16)
    image = np.clip(image + rng.integers(-12, 13, image.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    pillow.fromarray(image).save(file, "JPEG", quality=90)
    return file.getvalue()
