"""Numbers of items: which pass over the data one is of, and the how-manieth of its sender there.

Numbers of a sender only ever ascend.  Those of a pass begin at a multiple of 2**40, so whoever has
an item knows its pass, and its random numbers do not depend on how far an earlier pass was gone
through before it was left.  A run without passes has the first one only: there nothing is added.
"""

from __future__ import annotations

PASS_BITS = 40
MOST_PASSES = 1 << (63 - PASS_BITS)  # numbers travel as integers of 64 bits
_PLACE = (1 << PASS_BITS) - 1


def first_of(pass_: int) -> int:
    """The number of the first item of a pass.

    >>> first_of(0), first_of(1) == 2**40
    (0, True)
    """
    return pass_ << PASS_BITS


def pass_of(number: int) -> int:
    """The pass that an item is of.

    >>> pass_of(7), pass_of(first_of(3) + 7)
    (0, 3)
    """
    return number >> PASS_BITS


def place_of(number: int) -> int:
    """The how-manieth an item is within its pass, from 0.

    >>> place_of(7), place_of(first_of(3) + 7)
    (7, 7)
    """
    return number & _PLACE


def in_words(number: int) -> str:
    """An item's number, for people.

    >>> in_words(7), in_words(first_of(3) + 7)
    ('7', '7 (in pass 3)')
    """
    pass_ = pass_of(number)
    return f"{place_of(number)} (in pass {pass_})" if pass_ else str(number)


def bundle_of(number: int, size: int) -> int:
    """The number of the bundle that an item is in, where bundles have so many.

    >>> bundle_of(7, 4), bundle_of(first_of(3) + 7, 4) - first_of(3)
    (1, 1)
    """
    return (number & ~_PLACE) + (number & _PLACE) // size


def first_in_bundle(bundle: int, size: int) -> int:
    """The number of the first item of a bundle.

    >>> first_in_bundle(1, 4), first_in_bundle(first_of(3) + 1, 4) - first_of(3)
    (4, 4)
    """
    return (bundle & ~_PLACE) + (bundle & _PLACE) * size
