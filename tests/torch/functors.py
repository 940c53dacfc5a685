"""Functors of the tests, in a module that imports no torch: workers take a second for that."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np

import minipipe as mp


def batch(i: int) -> dict[str, Any]:
    """A batch whose image is large enough for a slot of its own, whatever else is in its parcel."""
    return {"image": np.full((4, 128, 128, 3), i, np.float32), "label": [np.arange(4), "train", i]}


def tensor_batch(i: int) -> dict[str, Any]:
    """The same of tensors."""
    import torch

    image = torch.full((4, 128, 128, 3), i, dtype=torch.float32)
    return {"image": image, "label": [torch.arange(4), "train", i]}


class AsTensors:
    """A Sink that makes tensors of arrays, as a user would; returns their sums, and what was said.

    The last of what was said is torch's warning about an array that is read-only.
    """

    def __init__(self, convert: str) -> None:
        self.convert = convert

    def local_init(self) -> None:
        if self.convert == "as_tensor":
            import torch  # noqa: F401  # else with the first item, which has come then

        self.sums: list[float] = []
        self.said: list[str] = []

    def run(self, item: dict[str, Any]) -> None:
        for array in (item["image"], item["label"][0]):
            self.sums.append(float(self.tensor_of(array).sum()))

    def tensor_of(self, array: np.ndarray[Any, Any]) -> Any:
        import torch

        import minipipe.torch

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if self.convert == "to_device":
                tensor = minipipe.torch.to_device(array, "cpu")
            else:
                tensor = getattr(torch, self.convert)(array)
        self.said += [str(warning.message) for warning in caught]
        tensor += 1  # its own: the other Sink does not see it
        return tensor - 1

    def local_term(self) -> tuple[list[float], list[str], list[str]]:
        said, self.said = self.said, []
        array = np.zeros(3)
        array.flags.writeable = False
        self.convert = "from_numpy"
        self.tensor_of(array)
        return self.sums, said, self.said


def fails_at_three(i: int) -> Any:
    """An array; an error at the fourth item."""
    if i == 3:
        raise ValueError("three")
    return np.full(50_000, i)


def small(i: int) -> dict[str, Any]:
    """A sample whose arrays a batch stacks."""
    return {"i": i, "x": np.full(3, i)}


def drawn_order() -> list[int]:
    return random.sample(range(24), 24)


def sample(i: int) -> dict[str, Any]:
    """An array that is drawn at random."""
    return {"x": np.full((64, 64), i) + mp.rng().random(), "i": i}


def text_at_two(i: int) -> Any:
    """An array that cannot be a tensor at the third item."""
    return np.array(["text"]) if i == 2 else np.full(5, i)
