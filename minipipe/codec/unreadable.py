"""Items that have arrived and cannot be made again."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any

from minipipe.codec.wire import UnpicklingError
from minipipe.errors import UnreadableItemError, WireFormatError
from minipipe.process.describe import text_of
from minipipe.process.frames import is_of

_OWN = __name__.rpartition(".")[0]


class Unreadable:
    """Stands where an item would be: whoever takes it up raises its error."""

    __slots__ = ("error",)

    def __init__(self, error: UnreadableItemError) -> None:
        self.error = error

    def __repr__(self) -> str:
        return "an item that cannot be unpickled"


def original(error: Exception) -> Exception:
    """Returns what has been raised by the code that an item ran."""
    cause = error.__cause__
    return cause if isinstance(error, UnpicklingError) and isinstance(cause, Exception) else error


def unreadable(error: Exception) -> UnreadableItemError:
    """Returns the error of an item that could not be read, for this reason."""
    cause = original(error)
    if isinstance(cause, WireFormatError):
        found = UnreadableItemError("reading it", cause.what)
    else:
        why = f"{type(cause).__name__}: {text_of(cause)}"
        found = UnreadableItemError(_culprit(cause) or f"making {_named(error)}", why)
    found.__cause__ = cause
    return found


def _named(error: Exception) -> str:
    return error.what if isinstance(error, UnpicklingError) and error.what else "it"


def _culprit(error: Exception) -> str:
    """The first function of the user's, or of a library, that was on the way to an error."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if not is_of(_OWN, frame):
            module = frame.f_globals.get("__name__", "")
            return f"{module}.{frame.f_code.co_qualname}" if module else frame.f_code.co_qualname
    return ""


def readable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that raises the error of an item that is none, instead of taking it."""

    @wraps(function, assigned=(), updated=())
    def called(*items: Any) -> Any:
        for item in items:
            if type(item) is Unreadable:
                raise item.error
        return function(*items)

    return called
