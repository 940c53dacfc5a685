"""Dead letters: items that were skipped, in a file from which they can be run again."""

from __future__ import annotations

from minipipe.letters.errors import DeadLetterError
from minipipe.letters.file import Letter, append, check_writable, letters_in
from minipipe.letters.source import DeadLetters

__all__ = [
    "DeadLetterError",
    "DeadLetters",
    "Letter",
    "append",
    "check_writable",
    "letters_in",
]
