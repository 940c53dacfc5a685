"""`{000..009}` and `{a,b}` in names, as the shell expands them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

MOST = 2**24  # names of one pattern

_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?")


def expand_braces(pattern: str) -> list[str]:
    """All names that a pattern stands for, in order; one without braces stands for itself.

    Zeros in front of a range's ends are kept: `{08..10}` is 08, 09, 10.  What is neither a range
    nor a list stays as it is.

    Raises:
        ValueError: there are more than 2**24.
    """
    names: list[str] = []
    for name in _expanded(pattern):
        if len(names) == MOST:
            raise ValueError(f"{pattern!r} stands for more than {MOST} names")
        names.append(name)
    return names


def _expanded(text: str) -> Iterator[str]:
    begin = text.find("{")
    while begin >= 0:
        commas = _commas(text, begin)
        words = None if commas is None else _words(text, [begin, *commas])
        if commas is not None and words is not None:
            before, after = text[:begin], text[commas[-1] + 1 :]
            for word in words:
                for rest in _expanded(after):
                    yield f"{before}{word}{rest}"
            return
        begin = text.find("{", begin + 1)
    yield text


def _commas(text: str, begin: int) -> list[int] | None:
    """Where the commas of the group that begins here are, and its end; None: it has none."""
    depth = 0
    commas: list[int] = []
    for i in range(begin, len(text)):
        depth += (text[i] == "{") - (text[i] == "}")
        if not depth:
            return [*commas, i]
        if depth == 1 and text[i] == ",":
            commas.append(i)
    return None


def _words(text: str, marks: list[int]) -> Iterable[str] | None:
    """What a group stands for, by where its begin, its commas and its end are."""
    if len(marks) > 2:
        parts = (text[a + 1 : b] for a, b in pairwise(marks))
        return (name for part in parts for name in _expanded(part))
    found = _RANGE.fullmatch(text, marks[0] + 1, marks[1])
    if found is None:
        return None
    first, last, step = found[1], found[2], abs(int(found[3] or 1)) or 1
    begin, end = int(first), int(last)
    numbers = range(begin, end + 1, step) if begin <= end else range(begin, end - 1, -step)
    padded = any(re.match(r"-?0\d", word) for word in (first, last))
    width = max(len(first), len(last)) if padded else 0
    return (f"{number:0{width}d}" for number in numbers)
