"""What the pipeline's workers do: decode and augment a file; train on what came of it."""

from __future__ import annotations

import warnings
import zlib
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from minipipe.demo.augment import Floats, augment, normalise
from minipipe.demo.digits import Digits, Labels

_INTERRUPTED = "Training interrupted by user"
LOOKS = 8  # how often the test digits are looked at on the way


class Chunk(TypedDict):
    """What flows from the augmenting workers to the trainer."""

    number: int
    images: Floats  # float32[n, 64], values 0 to 1
    labels: Labels


def load_and_augment(name: str) -> Chunk:
    """One file, decoded and augmented (a Transform's functor).

    A plain function: the segment is stateless, so any number of workers may share it.
    """
    with np.load(name, allow_pickle=False) as file:
        return Chunk(
            number=int(file["number"]),
            images=augment(file["images"], int(file["seed"])),
            labels=file["labels"].astype(np.int64),
        )


@dataclass(frozen=True)
class Training:
    """What the trainer returns at its end."""

    accuracy: float  # on the test digits, 0 to 1
    curve: tuple[tuple[int, float], ...]  # after so many chunks, such an accuracy
    fingerprints: tuple[tuple[int, int], ...]  # number and CRC-32 of each chunk, by number


class Trainer:
    """Trains a network on the chunks as they come (a Sink's functor).

    Made in the caller's process and pickled; everything heavy is made by `local_init`, in the
    worker.

    Args:
        digits: of which it uses the test digits only.
        chunks: how many will come.
    """

    def __init__(self, digits: Digits, chunks: int) -> None:
        self._test_images = normalise(digits.test_images)
        self._test_labels = digits.test_labels
        self._chunks = chunks
        self._look_every = max(1, chunks // LOOKS)
        self._curve: list[tuple[int, float]] = []
        self._fingerprints: list[tuple[int, int]] = []

    def local_init(self) -> None:
        """Makes the network."""
        from sklearn.neural_network import MLPClassifier
        from threadpoolctl import threadpool_limits

        # One thread for BLAS, as the workers of a segment with several have by themselves: on
        # matrices this small more threads gain nothing, and they would take the cores from the
        # augmenting workers.  Only now, as only libraries that are loaded can be limited.
        self._limits: Any = threadpool_limits(1)
        self._model: Any = MLPClassifier(
            hidden_layer_sizes=(128,),
            solver="sgd",
            batch_size=128,
            learning_rate_init=0.2,
            momentum=0.9,
            alpha=1e-5,
            random_state=0,
        )

    def run(self, chunk: Chunk) -> None:
        """Trains on one chunk; now and then prints how well the test digits are recognised."""
        images, labels = chunk["images"], chunk["labels"]
        with warnings.catch_warnings():
            # scikit-learn takes a Ctrl-C for the end of this one call, and only warns of it.
            warnings.filterwarnings("error", _INTERRUPTED, UserWarning)
            try:
                self._model.partial_fit(images, labels, classes=np.arange(10))
            except UserWarning as warning:
                if _INTERRUPTED in str(warning):
                    raise KeyboardInterrupt from None
                raise
        self._fingerprints.append(
            (chunk["number"], zlib.crc32(labels.data, zlib.crc32(images.data)))
        )
        seen = len(self._fingerprints)
        if seen % self._look_every == 0 or seen == self._chunks:
            accuracy = self._test_accuracy()
            self._curve.append((seen, accuracy))
            print(f"  {seen:4} of {self._chunks} chunks: test accuracy {accuracy:.1%}", flush=True)

    def local_term(self) -> Training | None:
        """The result; None if not one chunk came."""
        self._limits.restore_original_limits()
        if not self._fingerprints:
            return None
        fingerprints = tuple(sorted(self._fingerprints))
        return Training(self._test_accuracy(), tuple(self._curve), fingerprints)

    def _test_accuracy(self) -> float:
        return float(np.mean(self._model.predict(self._test_images) == self._test_labels))
