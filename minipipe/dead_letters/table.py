"""`minipipe dead-letters PATH`: what is in a file, a line each."""

from __future__ import annotations

import sys
import time

from minipipe.dead_letters.errors import DeadLetterError
from minipipe.dead_letters.file import DeadLetterRecord
from minipipe.dead_letters.reading import letters_in
from minipipe.process.describe import describe
from minipipe.protocol.delivery.numbering import in_words

_HEAD = ("when", "segment", "worker", "item", "error", "value")
_MAX = 60


def show(path: str) -> int:
    """Prints a table; returns the exit code: 1 if something is wrong with the file."""
    rows: list[tuple[str, ...]] = []
    failure: Exception | None = None
    try:
        for letter in letters_in(path):
            rows.append(_row(letter))
    except OSError as error:
        failure = DeadLetterError(path, error.strerror or str(error))
    except DeadLetterError as error:
        failure = error
    if rows:
        widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
        for row in [_HEAD, *rows]:
            print("  ".join(map(str.ljust, row, widths)).rstrip())
    if failure is None:
        print(f"{len(rows)} letters" if len(rows) != 1 else "1 letter")
        return 0
    print(f"minipipe: {failure}", file=sys.stderr)
    return 1


def _row(letter: DeadLetterRecord) -> tuple[str, ...]:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(letter.time_s))
    item = f"{in_words(letter.number)} of {letter.origin}"
    if letter.path:
        item += f" at {'.'.join(map(str, letter.path))}"
    try:
        value = describe(letter.item())
    except DeadLetterError:
        value = (
            "(not kept)" if letter.left_out else "(not read)" if letter.is_plain else "(pickled)"
        )
    error = f"{letter.error}: {letter.text}" if letter.text else letter.error
    return when, letter.segment, letter.worker, item, _short(error), _short(value)


def _short(text: str) -> str:
    line = " ".join(text.split()).encode("utf-8", "backslashreplace").decode()
    return line if len(line) <= _MAX else f"{line[: _MAX - 3]}..."
