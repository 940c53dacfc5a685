"""What a worker's `local_term` has returned, on its way to the caller."""

from __future__ import annotations

import pickle
from typing import Any

from minipipe.errors import ItemTypeError, ResultTooLargeError
from minipipe.errors.cause import because
from minipipe.process.by_value import dumps
from minipipe.process.describe import describe
from minipipe.stream import native_form
from minipipe.transport import Trust

MAX_RESULT_BYTES = 2**32 - 1  # of one field of a message (msgpack)
_WHAT_HAS_ONE = (
    "numbers, texts, arrays, containers or dataclasses of a module of such, or the path of a file"
)


def write(result: Any, trust: Trust) -> bytes:
    """A result as a report; nothing, if it is None.

    Args:
        trust: what the supervisor's inbox accepts: as that of a worker, as they are of one kind.

    Raises:
        ItemTypeError: nothing may be unpickled there, and it has no native form.
        ResultTooLargeError: a message cannot hold it.
    """
    if result is None:
        return b""
    report = dumps(result) if trust.code else _native(result)
    if len(report) > MAX_RESULT_BYTES:
        raise ResultTooLargeError(len(report), MAX_RESULT_BYTES)
    return report


def _native(result: Any) -> bytes:
    try:
        return native_form.write(result)
    except ItemTypeError as error:
        where = error.where.replace("item", "what local_term returned", 1)
        why = f"{error.why}; return {_WHAT_HAS_ONE}; in words it is {describe(result)}"
        told = ItemTypeError(where, error.type_name, why)
        raise because(told, error.__cause__) from error.__cause__


def read(report: bytes) -> Any:
    """What a report holds, which its socket has accepted.

    Raises:
        WireFormatError: it is in the native form, and cannot be read here.
        Exception: whatever the code of the user's classes raises at a pickle.
    """
    if not report:
        return None
    return pickle.loads(report) if native_form.is_pickle(report) else native_form.read(report)
