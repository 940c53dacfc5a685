"""`on=` of a segment: on which machines its workers run, as it is declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from minipipe.errors import OptionError, did_you_mean
from minipipe.protocol.hosts.names import ANY, LOCAL, is_name

On = str | Mapping[str, int] | None
RESERVED = (LOCAL, ANY)


def check_on(on: Any, where: str) -> str | dict[str, int] | None:
    """`on` as the name of one place, or as how many workers are to run at which.

    Raises:
        OptionError: it is neither.
    """
    if on is None:
        return None
    if isinstance(on, str):
        return _place(on, on, where)
    if not isinstance(on, Mapping) or not on:
        raise _wrong(on, where)
    for place, count in on.items():
        _place(place, on, where)
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise OptionError(
                f"on of {where} says how many workers run at each place, at least 1, got "
                f"{place!r}: {count!r}"
            )
    return dict(on)


def check_sum(on: str | dict[str, int] | None, n_processes: int | None, where: str) -> int:
    """How many workers there are: `n_processes`, or as many as `on` places one by one.

    Args:
        n_processes: None: nobody has said so.

    Raises:
        OptionError: they are not as many as `on` places.
    """
    if not isinstance(on, dict):
        return 1 if n_processes is None else n_processes
    total = sum(on.values())
    if n_processes is None or n_processes == total:
        return total
    rest = n_processes - total
    mend = f'"any": {on.get(ANY, 0) + rest} beside them' if rest > 0 else "fewer of them"
    raise OptionError(
        f"on={on!r} of {where} places {total} workers, and n_processes={n_processes}: place {mend},"
        " or leave n_processes away"
    )


def place_of(on: str | dict[str, int] | None, index: int, default: str) -> str:
    """Where the worker of this index is to run: LOCAL, ANY, a tag, or the name of a host.

    Workers that were added while the run goes on are where the last of the others are.
    """
    if not isinstance(on, dict):
        return on or default
    places = list(_each(on))
    return places[min(index, len(places) - 1)]


def _each(on: dict[str, int]) -> Iterator[str]:
    for place, count in on.items():
        for _ in range(count):
            yield place


def _place(place: Any, on: Any, where: str) -> str:
    if not isinstance(place, str):
        raise _wrong(on, where)
    lowered = place.lower()
    if lowered in RESERVED and place != lowered:
        raise OptionError(f"{_says(where)}, got {place!r}{did_you_mean(lowered, RESERVED)}")
    if not is_name(place):
        raise _wrong(on, where)
    return place


def _says(where: str) -> str:
    return (
        f"on of {where} is 'local', 'any', a tag or the name of a machine (letters, digits, "
        '".", "-", "_"), or how many workers run at which, as in on={"gpu": 4, "local": 1}'
    )


def _wrong(on: Any, where: str) -> OptionError:
    return OptionError(f"{_says(where)}, got {on!r}")
