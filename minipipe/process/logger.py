"""`Logger`, as 0.1.9 had it, over the standard logger `minipipe`."""

from __future__ import annotations

from minipipe.errors import OptionError, did_you_mean
from minipipe.process.logs import LEVELS, logger, set_level


class Logger:
    """Logs messages under the name of whoever sends them.

    Args:
        lvl: what is at least as grave is shown: "INFO", "DEBUG", "WARNING", "ERROR", "CRITICAL".

    Raises:
        OptionError: no such level.
    """

    def __init__(self, lvl: str = "INFO") -> None:
        set_level(lvl)

    def log(self, msg: object, name: str, lvl: str = "info") -> None:
        """Logs `msg` as coming from `name`.

        Raises:
            OptionError: no such level.
        """
        level = LEVELS.get(str(lvl).upper())
        if level is None:
            known = ", ".join(LEVELS)
            raise OptionError(
                f"lvl is one of {known} (any case), got {lvl!r}"
                f"{did_you_mean(str(lvl).upper(), LEVELS)}"
            )
        logger.log(level, "%s - %s", name, msg)
