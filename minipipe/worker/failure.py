"""How an exception gets from a worker to the caller, whatever its class."""

from __future__ import annotations

import os
import pickle
import traceback
from dataclasses import dataclass
from typing import Any

import cloudpickle

from minipipe.describe import describe
from minipipe.errors import FunctorError, RemoteTraceback

_ENDS = (StopIteration, StopAsyncIteration)
_READ_ONLY = (
    "; arrays that others may see as well are read-only: writable=True gives this segment copies "
    "of its own"
)


@dataclass(frozen=True)
class Failure:
    """What went wrong in a worker, in types that always survive the trip."""

    pid: int
    doing: str  # "local_init", "its functor", ...
    origin: int  # worker that numbered the item
    number: int | None
    value: str  # the item, abridged
    type_name: str
    text: str
    trace: str
    pickled: bytes | None
    hint: str = ""
    path: tuple[int, ...] = ()  # which outputs the item went through

    def exception(self, where: str) -> BaseException:
        """The exception to raise in the caller, with the remote traceback as its cause."""
        error: BaseException | None = None
        if self.pickled is not None:
            try:
                error = pickle.loads(self.pickled)
            except Exception:  # a class of the user's runs here, and may do anything
                error = None
        # SystemExit and its like would end the caller; StopIteration would look like an end.
        if not isinstance(error, Exception) or isinstance(error, _ENDS):
            error = FunctorError(self.type_name, self.text, where)
        error.__cause__ = RemoteTraceback(self.trace)
        error.add_note(f"minipipe: {where}{self.hint}")
        return error


def capture(
    error: BaseException,
    doing: str,
    *,
    origin: int = 0,
    number: int | None = None,
    item: Any = None,
    path: tuple[int, ...] = (),
) -> Failure:
    """`error`, as it was caught just now, ready to be sent."""
    trace = error.__traceback__
    own = os.path.dirname(__file__)
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(own):
        trace = trace.tb_next  # the user's traceback begins where the user's code does
    error.__traceback__ = trace
    text = "".join(traceback.format_exception(error))
    try:
        message = str(error)
    except BaseException:  # like repr: the user's own __str__ may fail
        message = "<its str() failed>"
    return Failure(
        os.getpid(),
        doing,
        origin,
        number,
        "" if number is None else describe(item),
        type(error).__qualname__,
        message,
        text,
        _pickled(error, message),
        _READ_ONLY if is_read_only(error) else "",
        path,
    )


def is_read_only(error: BaseException) -> bool:
    """Whether somebody wanted to write to an array that can only be looked at."""
    try:
        text = str(error)
    except BaseException:  # the user's own __str__ may fail
        return False
    return isinstance(error, Exception) and ("read-only" in text or "readonly" in text)


def _pickled(error: BaseException, message: str) -> bytes | None:
    """`error`, if it survives pickling as what it is; what does not would be lost silently."""
    bare = error
    cause, context, trace = error.__cause__, error.__context__, error.__traceback__
    try:
        blob: bytes = cloudpickle.dumps(bare)
        again = pickle.loads(blob)
        whole = type(again) is type(error) and str(again) == message
    except BaseException:  # a lock in its fields, a constructor with other arguments, anything
        return None
    finally:
        error.__cause__, error.__context__, error.__traceback__ = cause, context, trace
    return blob if whole else None
