"""Items in words, for errors and tables."""

from __future__ import annotations

import numpy as np

MAX_REPR = 200
MAX_TEXT = 10_000  # of what an exception says


def describe(item: object) -> str:
    """An item in a few words.

    >>> describe([1, 2])
    '[1, 2]'
    """
    if isinstance(item, np.ndarray) and item.size > 8:
        return f"array {item.dtype}{list(item.shape)}"
    try:
        text = repr(item)
    except BaseException as error:  # a repr of the user's may fail; the failure to tell is another
        text = f"<{type(item).__name__} whose repr raised {type(error).__name__}>"
    return text if len(text) <= MAX_REPR else f"{text[: MAX_REPR - 3]}..."


def text_of(error: BaseException) -> str:
    """What an exception says, also if its own `__str__` fails; of a long text, both ends.

    >>> text_of(ValueError("bad"))
    'bad'
    """
    try:
        return both_ends(str(error), MAX_TEXT)
    except BaseException:
        return "<its str() failed>"


def both_ends(text: str, limit: int) -> str:
    """`text`, or its beginning and end, if it is longer than `limit` characters.

    >>> both_ends("1234567890", 4)
    '12 [6 characters left out] 90'
    """
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} [{len(text) - 2 * half} characters left out] {text[-half:]}"


def abridged(value: object) -> str:
    """A text, of a long one both ends; anything else in a few words.

    >>> abridged("text"), abridged(7)
    ('text', '7')
    """
    return both_ends(value, MAX_TEXT) if isinstance(value, str) else describe(value)


def in_a_line(error: BaseException) -> str:
    """An exception in one line, with where it was raised.

    >>> in_a_line(ValueError("bad"))
    'ValueError: bad'
    """
    notes = [note.removeprefix("minipipe: ") for note in getattr(error, "__notes__", ())]
    return " ".join(f"{type(error).__name__}: {text_of(error)} {' '.join(notes)}".split())
