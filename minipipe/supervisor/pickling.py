"""Pickles functors for their workers, with what is large in memory that they share."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from cloudpickle import cloudpickle

from minipipe.codec.registry import library_of
from minipipe.process import by_value, main_module, memory_maps
from minipipe.segments.segment import Segment
from minipipe.supervisor.functor_memory import SHARED_FROM_BYTES, FunctorMemory, forget, memory_for
from minipipe.worker.pickled_functor import PickledFunctor
from minipipe.worker.spec import Task

_BY_NAME = (type, FunctionType, BuiltinFunctionType, ModuleType)
_MAINS = ("__main__", "__mp_main__")


def pickle_functor(declared: Segment, task: Task) -> tuple[PickledFunctor, FunctorMemory | None]:
    """Pickles what a segment's workers do.

    What its own methods raise while it is pickled comes through.
    """
    main, named = main_module.about_main(), list[str]()
    data, buffers = dump_apart(task, named)
    if not buffers and len(data) < SHARED_FROM_BYTES:
        forget(declared)
        return PickledFunctor(main, data, modules=tuple(named)), None
    memory = memory_for(declared, [*buffers, memoryview(data)])
    if memory is not None:
        return PickledFunctor(main, b"", memory.extents, tuple(named)), memory
    return PickledFunctor(main, dump(task) if buffers else data, modules=tuple(named)), None


def dump_apart(value: object, named: list[str]) -> tuple[bytes, list[memoryview]]:
    """The pickle of something, and the large buffers that are not in it, but beside it.

    Args:
        named: as of `dump`.
    """
    buffers: list[memoryview] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < SHARED_FROM_BYTES:
            return True
        buffers.append(view)
        return False

    return dump(value, keep, named), buffers


def dump(
    value: object,
    keep: Callable[[pickle.PickleBuffer], object] | None = None,
    named: list[str] | None = None,
) -> bytes:
    """The pickle of a functor, or of something that it refers to.

    Args:
        keep: as pickle's `buffer_callback`.
        named: takes the modules that whoever loads the pickle will import.
    """
    with io.BytesIO() as file:
        pickler = _Pickler(file, joins_main=True, buffer_callback=keep)
        pickler.dump(value)
        if named is not None:
            named += pickler.named
        return file.getvalue()


class _Pickler(by_value.Pickler):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.named: dict[str, None] = {}

    def reducer_override(self, obj: Any) -> Any:
        reduced = self._reduced(obj)
        if reduced is NotImplemented and isinstance(obj, _BY_NAME):
            self._note(obj)
        return reduced

    def _note(self, obj: Any) -> None:
        """What is pickled by its name, or a module."""
        if isinstance(obj, ModuleType):
            name = obj.__name__ if cloudpickle._should_pickle_by_reference(obj) else None
        else:
            name = getattr(obj, "__module__", None)
        if isinstance(name, str) and name not in _MAINS:
            self.named[name] = None

    def _reduced(self, obj: Any) -> Any:
        library = library_of(type(obj))
        reduced = None if library is None else library.reduce_in_place(obj)
        if reduced is None:
            reduced = memory_maps.reduce(obj)  # of which NumPy would write the whole file
        return super().reducer_override(obj) if reduced is None else reduced
