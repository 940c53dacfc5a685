"""How an exception gets from a worker to the caller, whatever its class."""

from __future__ import annotations

import io
import os
import pickle
import re
import traceback
from dataclasses import replace
from typing import Any

from minipipe.errors import FunctorError, RemoteTraceback, WireFormatError
from minipipe.process.by_value import Pickler
from minipipe.process.describe import abridged, both_ends, describe, text_of
from minipipe.process.frames import is_of
from minipipe.process.source_lines import with_source_lines
from minipipe.protocol.frozen import frozen
from minipipe.worker import native_errors
from minipipe.worker.missing_modules import host_hint

_AROUND = ("__cause__", "__context__", "__traceback__")
_ENDS = (StopIteration, StopAsyncIteration)
# What a worker does at its end, where a failure may mean that something was not saved.
CLOSING, TERMINATING, RETURNING = LAST_WORDS = (
    "closing its generator",
    "its local_term",
    "sending what its local_term returned",
)
MAX_TRACE = 100_000  # characters
MAX_PICKLED_BYTES = 256 * 1024  # of an exception: it may hold the item, or a model
_READ_ONLY = (
    "; arrays that others may see as well are read-only: writable=True gives this segment copies "
    "of its own"
)
_CUDA_AND_FORK = (
    "; CUDA does not survive a fork, and this worker was forked from a process that had used it, "
    "or had asked for it (torch.cuda.is_available() is enough, at a module's import, too): do that "
    "after run(), or in the functor's constructor or local_init, which are called in the worker. "
    "A functor that can be pickled, such as a class, is not forked from your process; "
    "run(preload=False) has each worker import its modules itself"
)
# What torch says, CuPy and CUDA's runtime, numba and CUDA's driver.
_OF_CUDA_AND_FORK = re.compile(
    r"Cannot re-initialize CUDA in forked subprocess|cudaErrorInitializationError|"
    r"CUDA error: initialization error|CUDA_ERROR_NOT_INITIALIZED"
)
# What NumPy says (`PyArray_FailUnlessWriteable`, also to Cython), Python of buffers; numba, OpenCV.
_OF_READ_ONLY_ARRAYS: list[tuple[type[Exception], re.Pattern[str]]] = [
    (ValueError, re.compile(r"^(assignment destination|(\w+: )?([\w/]+ )*array) is read-only$")),
    (TypeError, re.compile(r"^cannot modify read-only memory$")),
    (
        TypeError,
        re.compile(r"must be (a )?read-write bytes-like object, not \S*(ndarray|memoryview)"),
    ),
    (TypeError, re.compile(r"^underlying buffer is not writable$")),
    (BufferError, re.compile(r"^memoryview: underlying buffer is not writable$")),
    (BufferError, re.compile(r"^Object is not writable\.$")),
    (Exception, re.compile(r"Cannot modify readonly array of type: readonly (buffer|array)\(")),
    (Exception, re.compile(r"marked as output argument, but provided NumPy array .*read-?only")),
]


@frozen
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
    native: bytes | None = None  # the exception (`native_errors`), where nothing may be unpickled

    def exception(self, where: str) -> BaseException:
        """The exception to raise in the caller, with the remote traceback as its cause."""
        error, why = self._raised()
        notes = [f"minipipe: {where}{self.hint}"]
        if error is None:
            error = FunctorError(self.type_name, self.text, where)
            if why:
                notes.append(f"minipipe: it stands for what was raised, as {why}")
        # (`add_note` would ask its class, which may be a frozen dataclass.)
        notes = [*getattr(error, "__notes__", ()), *notes]
        cause = RemoteTraceback(with_source_lines(self.trace))
        for name, value in {"__cause__": cause, "__notes__": notes}.items():
            BaseException.__setattr__(error, name, value)
        return error

    def _raised(self) -> tuple[Exception | None, str]:
        """What was raised; None if that cannot be had, and why, if there is more to be said."""
        error: BaseException | None = None
        try:
            if self.native is not None:
                error = native_errors.read(self.native)
            elif self.pickled is not None:
                error = pickle.loads(self.pickled)
        except WireFormatError as reason:
            return None, reason.what
        except Exception:  # a class of the user's runs here, and may do anything
            return None, ""
        if isinstance(error, Parts):
            error = error.together()
        # SystemExit and its like would end the caller; StopIteration would look like an end.
        if not isinstance(error, Exception) or isinstance(error, _ENDS):
            return None, ""
        return error, ""

    def to_native(self) -> Failure:
        """The same without a pickle: for who may not unpickle what comes from here."""
        raised, _ = self._raised()  # (it was pickled here, so it is no harm)
        native = None if raised is None else native_errors.write(raised)
        return replace(self, pickled=None, native=native)


def capture(
    error: BaseException,
    doing: str,
    *,
    origin: int = 0,
    number: int | None = None,
    item: Any = None,
    path: tuple[int, ...] = (),
    raised: bool = True,
) -> Failure:
    """`error`, as it was caught just now, ready to be sent.

    Args:
        raised: it may be raised in the caller, so it itself is sent too, as far as it is small.
    """
    trace = error.__traceback__
    own = __name__.rpartition(".")[0]
    while trace is not None and is_of(own, trace.tb_frame):
        trace = trace.tb_next  # the user's traceback begins where the user's code does
    BaseException.with_traceback(error, trace)  # (its class may be a frozen dataclass)
    text = both_ends("".join(traceback.format_exception(error)), MAX_TRACE)
    message = text_of(error)
    return Failure(
        os.getpid(),
        doing,
        origin,
        number,
        "" if number is None else describe(item),
        type(error).__qualname__,
        message,
        text,
        _pickled(error) if raised else None,
        _hint(error),
        path,
    )


def _hint(error: BaseException) -> str:
    if is_read_only(error):
        return _READ_ONLY
    if isinstance(error, RuntimeError | OSError) and _OF_CUDA_AND_FORK.search(text_of(error)):
        return _CUDA_AND_FORK
    if type(error).__name__ == "BdbQuit":
        return "; a worker has no terminal for a debugger: build(inline=True)"
    return host_hint(error)


def is_read_only(error: BaseException) -> bool:
    """Whether somebody wanted to write to an array that can only be looked at.

    (Only in these words: a database may be read-only, too, and the functor is called once more.)
    """
    text = text_of(error)
    return any(
        isinstance(error, kind) and pattern.search(text) is not None
        for kind, pattern in _OF_READ_ONLY_ARRAYS
    )


@frozen
class Parts:
    """An exception taken apart, since it does not survive pickling as a whole.

    Pickle would make it by calling its class with `args`; but a constructor may have passed on
    something else than it took, and a field may hold a lock.
    """

    kind: type[BaseException]
    args: tuple[Any, ...]
    fields: dict[str, Any]

    def together(self) -> BaseException | None:
        """The exception, made without its constructor; None if its class does not allow that."""
        try:
            error = self.kind.__new__(self.kind, *self.args)
            BaseException.__setattr__(error, "args", self.args)
            error.__dict__.update(self.fields)
            str(error)
        except BaseException:  # the user's own __new__ or __str__
            return None
        return error


def _pickled(error: BaseException) -> bytes | None:
    """`error`, as far as it survives pickling: whole, or in parts; None if its class does not.

    What makes it larger than MAX_PICKLED_BYTES is left out.
    """
    before = {name: getattr(error, name) for name in _AROUND}
    try:
        blob = _dumps(error)
        again = pickle.loads(blob)
        if type(again) is type(error) and str(again) == str(error):
            return blob
    except BaseException:  # a lock in its fields, a constructor with other arguments, anything
        pass
    finally:
        for name, value in before.items():
            BaseException.__setattr__(error, name, value)
    args = tuple(arg if _survives(arg) else abridged(arg) for arg in error.args)
    fields = {name: value for name, value in vars(error).items() if _survives(value)}
    try:
        parts = Parts(type(error), args, fields)
        return _dumps(parts) if parts.together() is not None else None
    except Exception:  # its class cannot be pickled, or all its parts together are large
        return None


class _Limited(io.BytesIO):
    """A file that refuses more than MAX_PICKLED_BYTES, before they are copied."""

    def write(self, data: Any, /) -> int:
        size_bytes = memoryview(data).nbytes
        if self.tell() + size_bytes > MAX_PICKLED_BYTES:
            raise OverflowError(f"more than {MAX_PICKLED_BYTES} bytes when pickled")
        return super().write(data)


def _dumps(value: object) -> bytes:
    """`value`, pickled.

    Raises:
        OverflowError: it is larger than MAX_PICKLED_BYTES.
    """
    file = _Limited()
    Pickler(file, joins_main=False).dump(value)
    return file.getvalue()


def _survives(value: object) -> bool:
    try:
        pickle.loads(_dumps(value))
    except Exception:  # whatever a __reduce__ of the user's may raise
        return False
    return True
