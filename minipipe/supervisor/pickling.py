"""Pickles functors for their workers, with what is large in memory that they share."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

from minipipe.codec.registry import library_of
from minipipe.process import by_value, main_module, memory_maps
from minipipe.segments.segment import Segment
from minipipe.supervisor.functor_memory import SHARED_FROM_BYTES, FunctorMemory, forget, memory_for
from minipipe.worker.pickled_functor import PickledFunctor
from minipipe.worker.spec import Task


def pickle_functor(declared: Segment, task: Task) -> tuple[PickledFunctor, FunctorMemory | None]:
    """Pickles what a segment's workers do.

    What its own methods raise while it is pickled comes through.
    """
    buffers: list[memoryview] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < SHARED_FROM_BYTES:
            return True
        buffers.append(view)
        return False

    main = main_module.about_main()
    data = dump(task, keep)
    if not buffers and len(data) < SHARED_FROM_BYTES:
        forget(declared)
        return PickledFunctor(main, data), None
    memory = memory_for(declared, [*buffers, memoryview(data)])
    if memory is not None:
        return PickledFunctor(main, b"", memory.extents), memory
    return PickledFunctor(main, dump(task) if buffers else data), None


def dump(value: object, keep: Callable[[pickle.PickleBuffer], object] | None = None) -> bytes:
    """The pickle of a functor, or of something that it refers to."""
    with io.BytesIO() as file:
        _Pickler(file, joins_main=True, buffer_callback=keep).dump(value)
        return file.getvalue()


class _Pickler(by_value.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        library = library_of(type(obj))
        reduced = None if library is None else library.reduce_in_place(obj)
        if reduced is None:
            reduced = memory_maps.reduce(obj)  # of which NumPy would write the whole file
        return super().reducer_override(obj) if reduced is None else reduced
