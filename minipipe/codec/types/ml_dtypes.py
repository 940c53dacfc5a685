"""The dtypes of ml_dtypes: bfloat16, float8 and the like. Their `str` is that of raw bytes."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from minipipe.codec.library import Library
from minipipe.errors import WireFormatError


def _write_dtype(dtype: np.dtype[Any]) -> list[object]:
    return [dtype.type.__name__]


def _read_dtype(name: str) -> np.dtype[Any]:
    # A fixed module, so even a stranger may ask for it.
    try:
        found = getattr(importlib.import_module("ml_dtypes"), name)
    except ImportError as exc:
        raise WireFormatError(f"an array of {name!r:.40} needs the package ml_dtypes") from exc
    if not (isinstance(found, type) and issubclass(found, np.generic)):
        raise WireFormatError(f"ml_dtypes has no dtype {name!r:.40}")
    return np.dtype(found)


LIBRARY = Library(write_dtype=_write_dtype, read_dtype=_read_dtype)
