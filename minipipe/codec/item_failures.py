"""Which object it was that a pickle failed to make: the pickle is loaded once more, slowly."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from typing import Any, ClassVar

from minipipe.codec import wire
from minipipe.codec.preset import Missing


def failure(
    exc: Exception, parts: Sequence[Any], buffers: Sequence[Any], missing: Missing | None
) -> wire.UnpicklingError:
    """Returns the error of a pickle that could not be loaded, with what it was that it made.

    Args:
        exc: What the load raised.
        parts: The pickle.
        buffers: With which it was loaded.
        missing: What stood in the memo for something that could not be found.
    """
    error = wire.UnpicklingError(_made_at_the_end(parts, buffers))
    error.__cause__ = exc if missing is None else missing.error
    return error


def _made_at_the_end(parts: Sequence[Any], buffers: Sequence[Any]) -> str:
    """Returns what a pickle makes when it fails."""
    unpickler = _Slow(io.BytesIO(b"".join(parts)), buffers=buffers)
    try:
        unpickler.load()
    except Exception:  # this is why it is tried again
        return unpickler.making
    return ""


_Python: Any = pickle._Unpickler


class _Slow(_Python):  # type: ignore[misc]
    """The unpickler that is written in Python, which can be watched."""

    making = ""

    def _note(self, made: Any) -> None:
        made = made if isinstance(made, type) or hasattr(made, "__qualname__") else type(made)
        self.making = f"{made.__module__}.{made.__qualname__}"

    def find_class(self, module: str, name: str) -> Any:
        self.making = f"{module}.{name}"
        return super().find_class(module, name)

    def _reduce(self) -> None:
        self._note(self.stack[-2])
        self.load_reduce()

    def _new(self) -> None:
        self._note(self.stack[-2])
        self.load_newobj()

    def _new_by_keywords(self) -> None:
        self._note(self.stack[-3])
        self.load_newobj_ex()

    def _build(self) -> None:
        self._note(type(self.stack[-2]))
        self.load_build()

    dispatch: ClassVar[dict[int, Any]] = {
        **_Python.dispatch,
        pickle.REDUCE[0]: _reduce,
        pickle.NEWOBJ[0]: _new,
        pickle.NEWOBJ_EX[0]: _new_by_keywords,
        pickle.BUILD[0]: _build,
    }
