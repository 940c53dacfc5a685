"""The options of these Regulators, checked where the user writes them."""

from __future__ import annotations

from minipipe.errors import OptionError


def check_count(count: object, what: str, least: int) -> int:
    """`count` if it is a whole number of at least `least`.

    Raises:
        OptionError: it is not.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < least:
        raise OptionError(f"{what} is a whole number of at least {least}, got {count!r}")
    return count


def check_flag(flag: object, what: str) -> bool:
    """`flag` if it is True or False.

    Raises:
        OptionError: it is neither, such as an argument in the place of another.
    """
    if not isinstance(flag, bool):
        raise OptionError(f"{what} is True or False, got {flag!r}")
    return flag


def check_seed(seed: object, where: str) -> int | None:
    """`seed` if it is None or a whole number of at least 0.

    Raises:
        OptionError: it is neither.
    """
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise OptionError(
            f"seed of {where} is a whole number of at least 0 (or None: that of the worker), "
            f"got {seed!r}"
        )
    return seed
