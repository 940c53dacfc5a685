"""Sources of real data, each a thin layer over a library that was made for it.

`files` are patterns, lists or URLs (`listing`), opened here or by fsspec (`storage`).  What is
dealt out to ranks and workers, retried and named in errors is the same for all (`parts`).
"""

from __future__ import annotations

from minipipe.sources.files import Files
from minipipe.sources.memory_map import MemoryMap
from minipipe.sources.parquet import Parquet
from minipipe.sources.tar_shards import TarShards

__all__ = ["Files", "MemoryMap", "Parquet", "TarShards"]
