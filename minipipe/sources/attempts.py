"""Reading, tried again after errors that pass."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from minipipe.errors import BuildError, MiniPipeError
from minipipe.process.describe import text_of
from minipipe.protocol.retrying import Retries

logger = logging.getLogger("minipipe")

T = TypeVar("T")


def waits(retries: Retries, failures: int, error: Exception, what: str) -> bool:
    """Waits for the next try, and says so; False if there is to be none.

    Args:
        failures: so many have failed.
        what: has failed, in words.
    """
    # (Not by `random`'s own generator, which is the functor's, and seeded.)
    delay_s = retries.wait_s(failures, error, random.SystemRandom().random())
    if delay_s is None:
        return False
    logger.warning(
        "%s, and tries it again in %.1f s (try %d of %d): %s: %s",
        *(what, delay_s, failures, retries.most + 1, type(error).__name__, text_of(error)),
    )
    time.sleep(delay_s)
    return True


def with_retries(function: Callable[[], T], retries: Retries, what: str) -> T:
    """What the function gives, at the first try that succeeds.

    Args:
        what: it has not done if it has failed, in words.

    Raises:
        BuildError: none has.
    """
    failures = 0
    while True:
        try:
            return function()
        except MiniPipeError:
            raise
        except Exception as error:
            failures += 1
            if not waits(retries, failures, error, what):
                raise BuildError(f"{what}: {type(error).__name__}: {text_of(error)}") from error
