"""Dead letters: items that were skipped, in a file from which they can be run again."""

from __future__ import annotations

from minipipe.dead_letters.errors import DeadLetterError
from minipipe.dead_letters.file import (
    DeadLetterRecord,
    Kept,
    add_record,
    check_writable,
    encode_record,
    keep,
    write,
)
from minipipe.dead_letters.reading import count_in, letters_in
from minipipe.dead_letters.source import DeadLetter, DeadLetters

__all__ = [
    "DeadLetter",
    "DeadLetterError",
    "DeadLetterRecord",
    "DeadLetters",
    "Kept",
    "add_record",
    "check_writable",
    "count_in",
    "encode_record",
    "keep",
    "letters_in",
    "write",
]
