"""A failure on its way to the supervisor: pickled, or native where nothing may be unpickled."""

from __future__ import annotations

import pickle
from types import NoneType
from typing import Any, Final

from minipipe.errors import WireFormatError
from minipipe.process.by_value import dumps
from minipipe.stream import native_form
from minipipe.transport import Trust
from minipipe.worker.failure import Failure

# What stands for the fields of a Failure, in their order, but for the pickle.
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "pid": (int,),
    "doing": (str,),
    "origin": (int,),
    "number": (int, NoneType),
    "value": (str,),
    "type_name": (str,),
    "text": (str,),
    "trace": (str,),
    "hint": (str,),
    "path": (tuple,),
    "native": (bytes, NoneType),
}


def write(failure: Failure, trust: Trust) -> bytes:
    """A failure as a report.

    Args:
        trust: what the supervisor's inbox accepts: as that of a worker, as they are of one kind.
    """
    if trust.code:
        return dumps(failure)
    native = failure.to_native()
    return native_form.write(tuple(getattr(native, name) for name in _TYPES))


def read(report: bytes) -> Failure:
    """The failure of a report, which its socket has accepted.

    Raises:
        WireFormatError: it is in the native form, and no failure.
    """
    if native_form.is_pickle(report):
        failure: Failure = pickle.loads(report)
        return failure
    said: Any = native_form.read(report)
    if type(said) is not tuple or len(said) != len(_TYPES):
        raise WireFormatError("it is no failure")
    about = dict(zip(_TYPES, said, strict=True))
    for name, types in _TYPES.items():
        if type(about[name]) not in types:
            raise WireFormatError(f"{name!r} of a failure is a {type(about[name]).__name__}")
    if not all(type(step) is int for step in about["path"]):
        raise WireFormatError("'path' of a failure holds more than numbers")
    return Failure(pickled=None, **about)
