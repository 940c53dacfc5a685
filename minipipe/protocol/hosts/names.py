"""What machines are called, and what is said of them: names, tags."""

from __future__ import annotations

import re
from collections.abc import Container

LOCAL = "local"  # the supervisor's machine
ANY = "any"
MAX_CHARACTERS = 63
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def is_name(text: str) -> bool:
    """Whether a machine, a tag or a run can be called so."""
    return len(text) <= MAX_CHARACTERS and _NAME.fullmatch(text) is not None


def as_name(text: str, otherwise: str) -> str:
    """What is left of a text that can be a name: of a machine's own name, or a script's.

    Args:
        otherwise: the name, if nothing is.
    """
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:MAX_CHARACTERS].strip("._-")
    return otherwise if kept.lower() in ("", LOCAL, ANY) else kept


def distinct(name: str, taken: Container[str]) -> str:
    """The name that a machine has in a run where some are taken: `name`, or with a number.

    >>> distinct("node", {"local", "node", "node-2"})
    'node-3'
    """
    number, found = 1, name
    while found in taken:
        number += 1
        end = f"-{number}"
        found = name[: MAX_CHARACTERS - len(end)] + end
    return found
