"""What has no form of its own: pickle protocol 5 by way of cloudpickle, large buffers beside it."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minipipe.codec import reductions, wire
from minipipe.codec.arrays import frozen_copy
from minipipe.codec.nodes import NodeReader, NodeWriter, ReadNode
from minipipe.errors import WireFormatError
from minipipe.process import by_value


def dump(
    value: object,
    name_class: Callable[[type], bytes | None],
    keep_buffer: Callable[[pickle.PickleBuffer], object] | None = None,
    *,
    joins_main: bool = False,
) -> bytes:
    """Returns the pickle of a value.

    Args:
        value: Whatever it is. What its own methods raise while it is pickled comes through.
        name_class: Returns the token of a class that travels by definition, else None.
        keep_buffer: Takes a buffer and returns None, or returns True: then the pickle holds it.
        joins_main: What is from `__main__` becomes a part of the other side's.
    """
    with io.BytesIO() as file:
        _Pickler(file, name_class, keep_buffer, joins_main).dump(value)
        return file.getvalue()


def load(
    data: bytes | memoryview,
    class_of: Callable[[bytes], type],
    buffers: Iterable[memoryview] = (),
) -> object:
    """Returns the value of a pickle, running whatever code it asks for.

    Args:
        data: From somebody who is trusted.
        class_of: Returns the class of a token.
        buffers: Writable, and given away.

    Raises:
        WireFormatError: A class in it is not known.
        UnpicklingError: The code that it runs has raised something, which is the cause.
    """
    unpickler = _Unpickler(data, class_of, buffers)
    try:
        return unpickler.load()
    except WireFormatError:
        raise
    except Exception as exc:  # whatever the code raises that it runs
        raise wire.UnpicklingError(unpickler.last) from exc


def write(writer: NodeWriter, item: object) -> list[object]:
    """Returns the node of a pickled item."""
    buffers: list[memoryview] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < wire.OUT_OF_BAND_BYTES:
            return True
        buffers.append(frozen_copy(view))
        return False

    data = dump(item, writer.token_if_by_value, keep)
    return [wire.PICKLE, writer.buffer(data), *map(writer.buffer, buffers)]


def _read(reader: NodeReader, node: list[Any]) -> object:
    if not reader.context.allow_pickle:
        raise WireFormatError("it holds a pickle, which only allow_pickle=True would accept")
    _, data, *buffers = node
    pickle_bytes = reader.buffer(data)
    private = [np.array(np.frombuffer(reader.buffer(each), np.uint8)).data for each in buffers]
    return load(pickle_bytes, reader.context.class_named, private)


class _Pickler(by_value.Pickler):
    def __init__(
        self,
        file: io.BytesIO,
        name_class: Callable[[type], bytes | None],
        keep_buffer: Callable[[pickle.PickleBuffer], object] | None,
        joins_main: bool,
    ) -> None:
        super().__init__(file, joins_main=joins_main, buffer_callback=keep_buffer)
        self._name_class = name_class

    def persistent_id(self, obj: object) -> bytes | None:
        # Not isinstance, which asks the object (a mock, a proxy) what class it would like to be.
        return self._name_class(obj) if issubclass(type(obj), type) else None  # type: ignore[arg-type]

    def reducer_override(self, obj: object) -> Any:
        reduced = reductions.reduce(obj)
        return super().reducer_override(obj) if reduced is None else reduced


class _Unpickler(pickle.Unpickler):
    def __init__(
        self,
        data: bytes | memoryview,
        class_of: Callable[[bytes], type],
        buffers: Iterable[memoryview],
    ) -> None:
        super().__init__(io.BytesIO(data), buffers=buffers)
        self._class_of = class_of
        self.last = ""  # what was looked up last

    def persistent_load(self, pid: Any) -> type:
        found = self._class_of(pid)
        self.last = f"{found.__module__}.{found.__qualname__}"
        return found

    def find_class(self, module: str, name: str) -> Any:
        self.last = f"{module}.{name}"
        found = super().find_class(module, name)
        if name == "_frombuffer" and module.startswith("numpy."):
            return lambda buffer, *args: found(_writable(buffer), *args)
        return found


def _writable(buffer: Any) -> memoryview:
    # A read-only array, or a small one inside the pickle; both are to arrive writable.
    view = memoryview(buffer)
    return np.array(np.frombuffer(view, np.uint8)).data if view.readonly else view


READERS: dict[int, ReadNode] = {wire.PICKLE: _read}
