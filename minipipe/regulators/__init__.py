"""Regulators that gather, cut, spread and reorder: batches, rows and samples."""

from __future__ import annotations

from minipipe.regulators.batch import Batch
from minipipe.regulators.errors import CollateError
from minipipe.regulators.flat_map import FlatMap
from minipipe.regulators.rebatch import Rebatch
from minipipe.regulators.shuffle import Shuffle
from minipipe.regulators.unbatch import Unbatch

__all__ = ["Batch", "CollateError", "FlatMap", "Rebatch", "Shuffle", "Unbatch"]
