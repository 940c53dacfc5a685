"""A pickled functor on its way to its workers: small ones in a message, large ones in memory."""

from __future__ import annotations

import mmap
import os
import pickle
from collections.abc import Mapping
from typing import NamedTuple

from minipipe.process.main_module import become_main
from minipipe.protocol.frozen import frozen
from minipipe.worker.spec import Task


class Extent(NamedTuple):
    """Where in a functor's memory a buffer is."""

    offset: int
    size_bytes: int
    is_read_only: bool


@frozen
class PickledFunctor:
    """What a worker loads its functor from.

    Attributes:
        main: What makes its `__main__` the script's.
        data: The pickle; empty if it is in the memory, too.
        extents: Its buffers in the memory that comes beside it, and the pickle, last.
        modules: Those that it names, in the order in which they are imported.
    """

    main: Mapping[str, str]
    data: bytes
    extents: tuple[Extent, ...] = ()
    modules: tuple[str, ...] = ()

    def load(self, memory: int | None = None) -> Task:
        """Unpickles it, in the worker, where its modules are imported.

        Args:
            memory: A descriptor, given away. Its pages are shared by all workers, and by what
                loads from it, until one of them writes there: then it has a page of its own.
        """
        become_main(self.main)
        if memory is None:
            task: Task = pickle.loads(self.data)
            return task
        mapped = mmap.mmap(memory, 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
        os.close(memory)
        whole = memoryview(mapped)
        *buffers, data = (self._part(whole, extent) for extent in self.extents)
        task = pickle.loads(data, buffers=buffers)
        return task

    @staticmethod
    def _part(whole: memoryview, extent: Extent) -> memoryview:
        part = whole[extent.offset : extent.offset + extent.size_bytes]
        return part.toreadonly() if extent.is_read_only else part
