"""Which records of `logging` anybody wants: the caller's levels, for its workers."""

from __future__ import annotations

import logging

from minipipe.protocol.frozen import frozen


@frozen
class LogLevels:
    """The levels of a process.

    Attributes:
        levels: of the loggers that have one of their own, by name; "root" is the root.
        disabled: loggers that are switched off.
        disable: what `logging.disable` has set; 0: nothing.
        captures_warnings: warnings go to the logger "py.warnings".
    """

    levels: tuple[tuple[str, int], ...] = ()
    disabled: tuple[str, ...] = ()
    disable: int = 0
    captures_warnings: bool = False


NO_LEVELS = LogLevels()


def levels_now() -> LogLevels:
    """Those of this process."""
    root = logging.getLogger()
    # (There are place-holders, too, of loggers that have children and were never asked for.)
    there = [root, *root.manager.loggerDict.copy().values()]
    loggers = [entry for entry in there if isinstance(entry, logging.Logger)]
    return LogLevels(
        tuple((x.name, x.level) for x in loggers if x.level or x is root),
        tuple(x.name for x in loggers if x.disabled),
        root.manager.disable,
        getattr(logging, "_warnings_showwarning", None) is not None,
    )


def take_over(levels: LogLevels) -> None:
    """What is not wanted there is not made here."""
    for name, level in levels.levels:
        logging.getLogger(name).setLevel(level)
    for name in levels.disabled:
        logging.getLogger(name).disabled = True
    logging.disable(levels.disable)
    if levels.captures_warnings:
        logging.captureWarnings(True)
