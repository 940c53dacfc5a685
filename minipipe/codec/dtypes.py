"""NumPy's dtypes in words that msgpack has.

A dtype is its `str` ("<f4", "<M8[25us]"), or its character where the `str` means another one of
the same size ("q": long long), or a list:

    ["struct", names, dtypes, offsets, titles, itemsize, is_aligned, is_record]
    ["sub", dtype, dimension, ...]
    [library, ...]          one of a library's, as its file in `minipipe.codec.types` has it
"""

from __future__ import annotations

import operator
import re
from typing import Any

import numpy as np

from minipipe.codec import registry
from minipipe.codec.wire import NotNativeError
from minipipe.errors import WireFormatError
from minipipe.errors.cause import because

# np.dtype understands a whole language; of it only this much is spoken here.
_SIMPLE = re.compile(r"[<>|=]?[?bBhHiIlLqQefdgFDGucSUVMm]\d*(\[\d*[a-zA-Zμ]+\])?")
_MAX_LEVELS = 32


def _simple_name(dtype: np.dtype[Any]) -> str:
    name = dtype.str
    if np.dtype(name).num == dtype.num:
        return name
    return dtype.char if dtype.isnative else dtype.byteorder + dtype.char


# Without those that are equal to another one (long long, where long is as long). These objects
# live for ever, so they can be known by their id, for which a lookup costs half as much.
_BY_NAME = {dtype.str: dtype for dtype in map(np.dtype, "GDFgdfeQqLlIiHhBb?")}
_BY_NAME.update((dtype.str, dtype) for dtype in map(np.dtype, "LlIiHhBb?"))
NAMES: dict[int, str] = {id(dtype): name for name, dtype in _BY_NAME.items()}
# Those equal to them that were met: unpickled arrays have dtypes of their own, and what came with a
# functor is unpickled. They are kept, so that their ids stay theirs.
_equal: list[np.dtype[Any]] = []
_MOST_EQUAL = 256


def write_dtype(dtype: np.dtype[Any]) -> Any:
    """Returns the words for a dtype.

    Raises:
        NotNativeError: There are none.
    """
    name = NAMES.get(id(dtype))
    if name is not None:
        return name
    usual = _BY_NAME.get(dtype.str)
    if usual is not None and usual.num == dtype.num and dtype.metadata is None:
        if len(_equal) < _MOST_EQUAL:
            _equal.append(dtype)
            NAMES[id(dtype)] = dtype.str
        return dtype.str
    words = _words(dtype)
    found: np.dtype[Any] | None
    try:
        found = read_dtype(words)
    except WireFormatError:
        found = None
    # Equal dtypes may still differ in these.
    about = operator.attrgetter("type", "num", "isalignedstruct")
    if found is None or found != dtype or about(found) != about(dtype):
        raise NotNativeError(f"its dtype {dtype!r:.80} cannot be put in words")
    return words


def _words(dtype: np.dtype[Any]) -> Any:
    if dtype.hasobject:
        raise NotNativeError(f"its dtype {dtype!r:.80} holds Python objects")
    if dtype.metadata is not None:
        raise NotNativeError(f"its dtype {dtype!r:.80} has metadata")
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return ["sub", _words(base), *shape]
    if dtype.fields is not None and dtype.names is not None:
        fields = [dtype.fields[name] for name in dtype.names]
        titles = [field[2] if len(field) > 2 else None for field in fields]
        if not set(map(type, titles)) <= {str, type(None)}:
            raise NotNativeError(f"its dtype {dtype!r:.80} has titles that are not text")
        words = [_words(field[0]) for field in fields]
        offsets = [field[1] for field in fields]
        is_record = issubclass(dtype.type, np.record)
        flags = (dtype.itemsize, dtype.isalignedstruct, is_record)
        return ["struct", list(dtype.names), words, offsets, titles, *flags]
    library = registry.library_of(dtype.type)
    words_of_it = None if library is None else library.write_dtype(dtype)
    if words_of_it is not None:
        return [registry.top_module(dtype.type), *words_of_it]
    return _simple_name(dtype)


def read_dtype(words: Any, level: int = 0) -> np.dtype[Any]:
    """Returns the dtype that the words mean; it holds no objects.

    Raises:
        WireFormatError: They mean none.
    """
    try:
        found = _BY_NAME.get(words) if type(words) is str else None
        if found is None:
            found = _meaning(words, level)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as exc:
        error = WireFormatError(f"{words!r:.80} is no dtype ({exc})")
        raise because(error, exc) from exc
    if found.hasobject:
        raise WireFormatError(f"the dtype {words!r:.80} holds Python objects")
    return found


def _meaning(words: Any, level: int) -> np.dtype[Any]:
    if level > _MAX_LEVELS:
        raise WireFormatError("a dtype is nested too deeply")
    if type(words) is str:
        if len(words) > 40 or not _SIMPLE.fullmatch(words):
            raise WireFormatError(f"{words!r:.80} is no dtype")
        return np.dtype(words)
    kind, *rest = words
    if kind == "sub":
        base, *shape = rest
        return np.dtype((read_dtype(base, level + 1), tuple(shape)))
    if kind in registry.MODULES:
        return _library_dtype(kind, rest)
    if kind != "struct":
        raise WireFormatError(f"{words!r:.80} is no dtype")
    names, formats, offsets, titles, itemsize, is_aligned, is_record = rest
    layout: Any = {
        "names": names,
        "formats": [read_dtype(each, level + 1) for each in formats],
        "offsets": offsets,
        "itemsize": itemsize,
    }
    if any(title is not None for title in titles):
        layout["titles"] = titles
    plain = np.dtype(layout, align=bool(is_aligned))
    return np.dtype((np.record, plain)) if is_record else plain


def _library_dtype(name: str, words: list[Any]) -> np.dtype[Any]:
    read = registry.load(name).read_dtype
    if read is None:
        raise WireFormatError(f"{name} has no dtypes")
    return read(*words)
