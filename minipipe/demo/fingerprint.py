"""What a model was trained on, in three numbers that can be compared with another's."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from minipipe.demo.augment import PIXELS, Floats
from minipipe.demo.digits import Labels

_WORDS = PIXELS * 4 // 8  # of 8 bytes, in an image
_HASH_SEED = 22
# Odd ones: to multiply with an even one loses bits.
_FACTORS = np.random.default_rng(_HASH_SEED).integers(2**64, size=_WORDS + 1, dtype=np.uint64) | 1


@dataclass(frozen=True)
class Fingerprint:
    """Of rows (an image and its label each), taken bit by bit.

    `rows` and `content` say which rows there were: a row that is missing, there twice or changed
    makes them differ; in which order they came, and in which batches, does not.  That is what
    two runs have in common when several workers make the chunks: whoever is free takes the next
    one, so the order differs from run to run.  `order` says that the order and the batches were
    the same, too.
    """

    rows: int = 0
    content: int = 0  # the sum of a hash of each row, modulo 2**64
    order: int = 0  # CRC-32 of all batches, one behind the other

    def followed_by(self, images: Floats, labels: Labels) -> Fingerprint:
        """Of the rows so far and these: float32[n, 64], int64[n]."""
        images, labels = np.ascontiguousarray(images), np.ascontiguousarray(labels)
        content = int(_row_hashes(images, labels).sum(dtype=np.uint64))
        return Fingerprint(
            self.rows + len(labels),
            (self.content + content) % 2**64,
            zlib.crc32(labels.data, zlib.crc32(images.data, self.order)),
        )


def _row_hashes(images: Floats, labels: Labels) -> npt.NDArray[np.uint64]:
    """uint64[n]; unsigned integers of NumPy wrap around, which is meant."""
    words = images.view(np.uint64)
    hashes = (words * _FACTORS[:_WORDS]).sum(axis=1, dtype=np.uint64)
    hashes += labels.view(np.uint64) * _FACTORS[_WORDS]
    # Those sums add up as their rows do, so two changed rows could make up for each other.  The
    # last steps of splitmix64 (Steele, Lea and Flood 2014) end that.
    hashes = (hashes ^ (hashes >> 30)) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> 27)) * np.uint64(0x94D049BB133111EB)
    mixed: npt.NDArray[np.uint64] = hashes ^ (hashes >> 31)
    return mixed
