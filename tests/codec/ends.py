"""A process as encoders and decoders see it."""

from __future__ import annotations

import gc
import itertools
from typing import Any

import numpy as np

from minipipe.codec import Decoder, Encoder, Parcel
from minipipe.codec.borrower import Borrower
from minipipe.codec.lender import Lender
from minipipe.protocol.wiring import Access
from minipipe.shm import SlotPool, SlotReader
from tests.shm.harness import KIB, MIB

SIZE = 100_000
_LATER_S = itertools.count(10**9, 1000)


class End:
    """A process's encoder and decoder; what it sends, it can also receive."""

    def __init__(self, min_bytes: int = 64 * KIB) -> None:
        self.pool = SlotPool(64 * MIB, min_bytes)
        self.reader = SlotReader()
        self.lender = Lender(self.pool)
        self.encoder = Encoder(allow_pickle=False, lender=self.lender)
        self.decoder = Decoder(allow_pickle=False, borrower=Borrower(self.reader))

    def parcel(self, *items: Any) -> Parcel:
        return self.encoder.encode([self.encoder.snapshot(item)[0] for item in items])

    def received(self, parcel: Parcel, access: Access = "read") -> list[Any]:
        self.decoder.access = access
        found = self.decoder.decode(parcel.body, parcel.frames)
        parcel.release()
        return found

    def trip(self, item: Any, access: Access = "read") -> Any:
        (arrived,) = self.received(self.parcel(item), access)
        return arrived

    def empty(self, fill: int = 0, size: int = SIZE) -> Any:
        """An array as `mp.empty` makes it."""
        array = self.pool.empty(size, np.uint8)
        assert array is not None
        array[:] = fill
        return array

    @property
    def is_idle(self) -> bool:
        """Whether nobody counts on any of its slots, so that it can give back all memory."""
        if self._has_given_all_back():
            return True
        gc.collect()  # the traceback of an error that was caught may keep a view
        return self._has_given_all_back()

    def _has_given_all_back(self) -> bool:
        self.reader.drain()
        self.pool.tend(next(_LATER_S))
        self.pool.tend(next(_LATER_S))  # what others were found to hold
        return self.pool.warm_bytes == 0

    def close(self) -> None:
        self.reader.close()
        self.pool.close()
