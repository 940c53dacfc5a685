"""What the pickles of items call when they are loaded. Pickles refer to these by name."""

from __future__ import annotations

from typing import Any

import numpy as np


def given(value: object) -> object:
    """Returns what lay beside the pickle, and was made before that was loaded."""
    return value


def array_over(data: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Any:
    """Returns an array over bytes that are nobody else's: those of the pickle."""
    array: Any = np.ndarray(shape, dtype, data)
    # What was read-only is bytes in the pickle; it, too, is to arrive writable.
    return array.copy() if type(data) is bytes else array


def fortran_array_over(data: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Any:
    """Returns the same with its first axis next to each other in memory."""
    array: Any = np.ndarray(shape, dtype, data, order="F")
    return array.copy("F") if type(data) is bytes else array
