"""What cloudpickle would take apart so that something else arrives.

Each of these is taken apart here in another way, or refused with what to do instead.
"""

from __future__ import annotations

import io
import operator
import sys
from typing import Any

from minipipe.codec.library import Reduced
from minipipe.codec.registry import library_of
from minipipe.codec.wire import RefusedError

being_defined: set[type] = set()
"""Classes whose definitions are being written just now, one inside the other."""


def reduce(obj: Any) -> Reduced | None:
    """Returns how pickle shall take an object apart, or None for what cloudpickle does well.

    Raises:
        RefusedError: It would arrive as something else.
    """
    kind = type(obj)
    if issubclass(kind, type):
        return _parametrised(obj)
    if kind is memoryview:
        raise RefusedError("pickle would make bytes of a memoryview: send bytes(view)")
    if issubclass(kind, io.TextIOWrapper) and obj not in (sys.stdout, sys.stderr):
        raise RefusedError(
            "pickle would make a StringIO of an open text file: send its path, to be opened "
            "by who reads it, or what is in it (file.read())"
        )
    library = library_of(kind)
    return None if library is None else library.reduce(obj)


def _parametrised(cls: Any) -> Reduced | None:
    """Returns how a class that is a generic one with arguments (`Model[int]`) is asked for.

    Who has it by its definition would have another class than `Model[int]` is there. That of which
    it was made stands in the class, by the name that pydantic has given to it.
    """
    made = vars(cls).get("__pydantic_generic_metadata__")
    if not isinstance(made, dict) or not made.get("args") or made.get("origin") in (None, cls):
        return None
    origin, args = made["origin"], made["args"]
    if origin in being_defined:
        return None  # of which there is nothing yet, where this is read
    args = args[0] if len(args) == 1 else args
    return (operator.getitem, (origin, args)) if origin[args] is cls else None
