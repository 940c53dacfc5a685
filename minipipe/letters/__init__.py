"""Dead letters: items that were skipped, in a file from which they can be run again."""

from __future__ import annotations

from minipipe.letters.errors import DeadLetterError
from minipipe.letters.file import (
    Kept,
    Letter,
    add_record,
    check_writable,
    keep,
    letters_in,
    sealed,
    write,
)
from minipipe.letters.source import DeadLetters

__all__ = [
    "DeadLetterError",
    "DeadLetters",
    "Kept",
    "Letter",
    "add_record",
    "check_writable",
    "keep",
    "letters_in",
    "sealed",
    "write",
]
