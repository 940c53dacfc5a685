"""Arrays on disk, mapped into memory: checked when they are declared, mapped once a process."""

from __future__ import annotations

import os
from typing import Any, TypeAlias

import numpy as np

from minipipe.errors import BuildError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


class Mapped:
    """A file as a read-only array; pickled, it is mapped anew.

    Args:
        dtype: of plain values; None: the file is one of NumPy's.
        shape: of plain values.
        offset: of plain values, in bytes.
    """

    def __init__(
        self,
        path: str,
        dtype: np.dtype[Any] | None = None,
        shape: tuple[int, ...] = (),
        offset: int = 0,
    ) -> None:
        self.path = path
        self._about = (dtype, shape, offset)
        self._array: Array | None = None

    def open(self) -> Array:
        """The array.

        Raises:
            OSError, ValueError: it cannot be mapped.
        """
        if self._array is None:
            dtype, shape, offset = self._about
            if dtype is None:
                mapped = np.load(self.path, mmap_mode="r")
                if not isinstance(mapped, np.ndarray):  # an .npz
                    mapped.close()
                    raise ValueError("it holds several arrays: unpack them, and give a dict")
            elif 0 in shape:
                mapped = np.empty(shape, dtype)  # what is empty cannot be mapped
            else:
                mapped = np.memmap(self.path, dtype, "r", offset, shape)
            # As an array of the plain class: a subclass would be pickled, not put to a slot.
            self._array = mapped.view(np.ndarray)
        return self._array

    def __reduce__(self) -> tuple[Any, ...]:
        return Mapped, (self.path, *self._about)


def mapped_npy(path: Any, where: str) -> Mapped:
    """A .npy file.

    Raises:
        BuildError: it is none, or cannot be mapped.
    """
    mapped = Mapped(_text(path, where))
    try:
        array = mapped.open()
    except OSError as error:
        raise _unreadable(path, where, error.strerror or str(error)) from error
    except Exception as error:  # a ValueError says that it is none, holds objects, or is cut off
        why = str(error)
        if "mmap length is greater" in why:
            why = f"it is cut off: it has {os.path.getsize(mapped.path)} bytes ({why})"
        elif not isinstance(error, ValueError) or "allow_pickle" in why:
            why = "it is no .npy file (of plain values: give dtype= and row_shape=)"
        raise _unreadable(path, where, why) from error
    if not array.ndim:
        raise _unreadable(path, where, "its array has no rows (it is 0-dimensional)")
    return mapped


def mapped_raw(
    path: Any, dtype: np.dtype[Any], row_shape: tuple[int, ...], offset: int, where: str
) -> Mapped:
    """A file of plain values.

    Raises:
        BuildError: it is not there, or does not hold a whole number of rows.
    """
    text = _text(path, where)
    row_bytes = dtype.itemsize * int(np.prod(row_shape, dtype=np.int64))
    try:
        size = os.path.getsize(text) - offset
        with open(text, "rb"):
            pass
    except OSError as error:
        raise _unreadable(path, where, error.strerror or str(error)) from error
    if size < 0 or size % row_bytes:
        why = f"its {size} bytes from {offset} on are no whole number of rows of {row_bytes} bytes"
        raise _unreadable(path, where, why)
    return Mapped(text, dtype, (size // row_bytes, *row_shape), offset)


def _text(path: Any, where: str) -> str:
    if not isinstance(path, str | os.PathLike) or not isinstance(text := os.fspath(path), str):
        raise BuildError(f"path of {where} is that of a file, or a dict of them, got {path!r}")
    if "://" in text:
        raise _unreadable(path, where, "only files of this machine can be mapped: copy it here")
    return text


def _unreadable(path: Any, where: str, why: str) -> BuildError:
    return BuildError(f"{where} cannot map {str(path)!r}: {why}")
