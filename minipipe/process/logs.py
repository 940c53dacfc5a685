"""The log: the standard logger `minipipe`, and what it shows when nobody has set logging up."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from minipipe.errors import OptionError, did_you_mean

logger = logging.getLogger("minipipe")

# Between INFO and WARNING: the one line about each run, shown by default.
SUMMARY = 25
logging.addLevelName(SUMMARY, "SUMMARY")

LEVELS = {
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "SUMMARY": SUMMARY,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
}


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the time (a notebook's cell), not what it was."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        pass


def set_level(level: str | int | None) -> None:
    """Shows what is at least as grave as `level`; None leaves what the user has set.

    Raises:
        OptionError: no such level.
    """
    if isinstance(level, str):
        if level.upper() not in LEVELS:
            raise OptionError(
                f"log_lvl is one of {', '.join(LEVELS)} (any case) or a number, "
                f"got {level!r}{did_you_mean(level.upper(), LEVELS)}"
            )
        level = LEVELS[level.upper()]
    if not logger.handlers and not logging.getLogger().handlers:
        logger.addHandler(_Stderr())
    if level is not None:
        logger.setLevel(level)
    elif logger.level == logging.NOTSET:
        logger.setLevel(SUMMARY)
