"""Options that do not exist: what an error says of them."""

from __future__ import annotations

from collections.abc import Iterable

from minipipe.errors.base import OptionError
from minipipe.synonyms import nearest, suggestion


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known word nearest to `word`, or nothing."""
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else ""


def reject_unknown(unknown: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raises `OptionError` for the first option that `where` does not have."""
    known = tuple(known)
    for name in unknown:
        raise OptionError(
            f"{where} has no option {name!r}{suggestion(name, known)} (known: {', '.join(known)})"
        )
