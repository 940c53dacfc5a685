"""What the pipeline's workers do: decode and augment a file; train a model on what came of it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from minipipe.demo.augment import Floats, augment, normalise
from minipipe.demo.digits import Digits, Labels
from minipipe.demo.fingerprint import Fingerprint

_INTERRUPTED = "Training interrupted by user"
LOOKS = 4  # how often each model looks at the test digits, the last time at its end


class Rows(TypedDict):
    """What flows to the models: digits as they see them."""

    images: Floats  # float32[n, 64], values 0 to 1
    labels: Labels  # int64[n]


def load_and_augment(name: str) -> Rows:
    """One file, decoded and augmented (a Transform's functor).

    A plain function: the segment is stateless, so any number of workers may share it.
    """
    with np.load(name, allow_pickle=False) as file:
        return Rows(
            images=augment(file["images"], int(file["seed"])),
            labels=file["labels"].astype(np.int64),
        )


@dataclass(frozen=True)
class Model:
    """The hyper-parameters of one network."""

    hidden: int  # units in its one hidden layer
    rate: float  # of learning

    @property
    def name(self) -> str:
        return f"hidden={self.hidden} lr={self.rate:g}"


MODELS = tuple(Model(hidden, rate) for hidden in (32, 128) for rate in (0.02, 0.2))


@dataclass(frozen=True)
class Training:
    """What a trainer returns at its end."""

    accuracy: float  # on the test digits, 0 to 1
    curve: tuple[tuple[int, float], ...]  # after so many digits, such an accuracy
    fingerprint: Fingerprint  # of what it was trained on


class Trainer:
    """Trains one network on the batches as they come (a Sink's functor).

    Made in the caller's process and pickled; everything heavy is made by `local_init`, in the
    worker.

    Args:
        model: its hyper-parameters.
        digits: of which it uses the test digits only.
        rows: how many digits will come.
    """

    def __init__(self, model: Model, digits: Digits, rows: int) -> None:
        self._hyper = model
        self._test_images = normalise(digits.test_images)
        self._test_labels = digits.test_labels
        self._rows = rows
        self._look_every = -(-rows // LOOKS)
        self._curve: list[tuple[int, float]] = []
        self._fingerprint = Fingerprint()

    def local_init(self) -> None:
        """Makes the network."""
        from sklearn.neural_network import MLPClassifier
        from threadpoolctl import threadpool_limits

        # One thread for BLAS, as the workers of a segment with several have by themselves: on
        # matrices this small more threads gain nothing, and they would take the cores from the
        # other workers.  Only now, as only libraries that are loaded can be limited.
        self._limits: Any = threadpool_limits(1)
        self._model: Any = MLPClassifier(
            hidden_layer_sizes=(self._hyper.hidden,),
            solver="sgd",
            batch_size=128,
            learning_rate_init=self._hyper.rate,
            momentum=0.9,
            alpha=1e-5,
            random_state=0,
        )

    def run(self, batch: Rows) -> None:
        """Trains on one batch; now and then prints how well the test digits are recognised."""
        images, labels = batch["images"], batch["labels"]
        with warnings.catch_warnings():
            # scikit-learn takes a Ctrl-C for the end of this one call, and only warns of it.
            warnings.filterwarnings("error", _INTERRUPTED, UserWarning)
            try:
                self._model.partial_fit(images, labels, classes=np.arange(10))
            except UserWarning as warning:
                if _INTERRUPTED in str(warning):
                    raise KeyboardInterrupt from None
                raise
        before = self._fingerprint.rows
        self._fingerprint = self._fingerprint.followed_by(images, labels)
        self._look(before, self._fingerprint.rows)

    def local_term(self) -> Training | None:
        """The result; None if nothing came."""
        self._limits.restore_original_limits()
        if not self._fingerprint.rows:
            return None
        return Training(self._test_accuracy(), tuple(self._curve), self._fingerprint)

    def _look(self, before: int, seen: int) -> None:
        done = seen == self._rows
        if not done and seen // self._look_every == before // self._look_every:
            return
        accuracy = self._test_accuracy()
        self._curve.append((seen, accuracy))
        if not done:  # the last one is the result
            part = f"{seen / self._rows:.0%} of the digits"
            print(f"  {self._hyper.name:18} {part}: test accuracy {accuracy:.1%}", flush=True)

    def _test_accuracy(self) -> float:
        return float(np.mean(self._model.predict(self._test_images) == self._test_labels))
