"""Whether what could not be read is tried again, and after how long."""

from __future__ import annotations

from typing import NamedTuple

FIRST_S, FACTOR, LONGEST_S = 0.25, 4.0, 16.0

# What will not be otherwise a second later.
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
# Errors of these libraries' that are no OSErrors come from the network as well.
_CLIENTS = ("aiohttp", "botocore", "http", "httpx", "requests", "urllib3")
_TOO_LATE_OR_MANY = (408, 425, 429)  # statuses of HTTP that say so of the moment, not the request


class Retries(NamedTuple):
    """How often what fails for reasons that pass is tried again.

    Attributes:
        most: times, after the first one.
    """

    most: int

    def wait_s(self, failures: int, error: BaseException, spread: float) -> float | None:
        """How long to wait for the next try; None if there is to be none.

        Args:
            failures: how many tries have failed since something was read, this one included.
            spread: drawn from [0, 1): many workers that a store has refused at one time are not
                to come back at one time (AWS Architecture Blog, "Exponential backoff and jitter").
        """
        if failures > self.most or not passes(error):
            return None
        longest = min(FIRST_S * FACTOR ** (failures - 1), LONGEST_S)
        return longest * (0.5 + spread / 2)


def passes(error: BaseException) -> bool:
    """Whether the reason of an error may be gone a second later: a store, a network, a disk."""
    if isinstance(error, _FINAL):
        return False
    if isinstance(error, OSError) or _is_of_client(error):
        status = getattr(error, "status", getattr(error, "status_code", None))
        refused = isinstance(status, int) and 400 <= status < 500
        return not refused or status in _TOO_LATE_OR_MANY
    return False


def _is_of_client(error: BaseException) -> bool:
    tops = {cls.__module__.partition(".")[0] for cls in type(error).__mro__}
    return isinstance(error, Exception) and not tops.isdisjoint(_CLIENTS)
