"""Regulators that gather, cut, spread and reorder: batches, rows and samples."""

from __future__ import annotations

from minipipe.batching.batch import Batch
from minipipe.batching.errors import CollateError
from minipipe.batching.flat_map import FlatMap
from minipipe.batching.rebatch import Rebatch
from minipipe.batching.shuffle import Shuffle
from minipipe.batching.unbatch import Unbatch

__all__ = ["Batch", "CollateError", "FlatMap", "Rebatch", "Shuffle", "Unbatch"]
