"""What an error is due to, also where the code that raises it is compiled."""

from __future__ import annotations

from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def because(error: E, cause: BaseException | None) -> E:
    """The error, with its cause: `raise because(error, cause) from cause`.

    mypyc leaves out what stands behind `from`; so this goes before, in modules that are compiled
    (`setup.py`).  None: nothing that it came of is to be shown.
    """
    error.__cause__ = cause  # which sets __suppress_context__, too
    return error
