"""The classes of the script that items may be of which go to other hosts.

Newcomers define their dataclass beside the pipeline.  Between hosts no definitions are accepted, as
whoever sends one runs code where it arrives.  So each worker is given these classes at its start,
by the supervisor, as it is given its functor; items name them.
"""

from __future__ import annotations

import sys
from typing import Any

from minipipe.codec import records
from minipipe.codec.classes import MAIN, MAINS
from minipipe.supervisor.pickling import dump

# A class is small, unless its methods refer to data of the script's: then it stays here.
MAX_BYTES = 256 * 1024


def classes_of_script() -> dict[str, bytes]:
    """The pickles of the dataclasses, namedtuples and enums at the top of the script, by name.

    One that cannot be pickled, or is too large, is not among them.
    """
    found = {}
    for name, value in list(vars(sys.modules[MAIN]).items()):
        if not isinstance(value, type) or value.__qualname__ != name or not _has_records(value):
            continue
        try:
            data = dump(value)
        except Exception:  # whatever a part of it raises
            continue
        if len(data) <= MAX_BYTES:
            found[name] = data
    return found


def _has_records(cls: type) -> bool:
    """Whether a class of the script, or one that is defined in it, has such instances."""
    if cls.__module__ not in MAINS:
        return False
    if records.writer_for(cls) is not None:
        return True
    inner: list[Any] = [value for value in vars(cls).values() if isinstance(value, type)]
    below = f"{cls.__qualname__}."
    return any(_has_records(one) for one in inner if one.__qualname__.startswith(below))
