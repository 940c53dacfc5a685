"""Records that a worker logs go to the caller's logger of the same name.

Which of them are wanted is known here, by the caller's levels; how they look and where they go is
the business of the handlers there.  A logger that has handlers here, set by the functor, its
modules or a library, keeps them, and nothing of it goes to the caller: it would be shown twice.
"""

from __future__ import annotations

import functools
import logging
import multiprocessing
import sys
import threading
from collections.abc import Callable
from typing import Any

from minipipe.process.describe import MAX_REPR, both_ends, describe
from minipipe.process.log_levels import LogLevels, take_over
from minipipe.worker.side_channel import SideChannel

MAX_TEXT = 65_536  # characters of a message, of a traceback
MAX_EXTRAS = 64
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
_MAX_INT = 2**63

_inherited: list[Any] = []  # handlers of the caller's; kept, as their end is the caller's business


def forward_records(channel: SideChannel, worker: str, levels: LogLevels) -> None:
    """From now on what is logged in this process goes to the caller.

    Args:
        worker: the name of the process in records.
        levels: of the caller.
    """
    take_over(levels)
    forwarder = _Forwarder(channel, worker)

    def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
        if not _call_own_handlers(logger, record):
            forwarder.forward(record)

    # A handler of the root's would do, but `basicConfig` in a functor would find it and do nothing.
    logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign, assignment]
    logging.basicConfig = _only_if_asked(logging.basicConfig)


def _only_if_asked(configure: Callable[..., None]) -> Callable[..., None]:
    """`basicConfig`, for who calls it: `logging.warning()` and its like do so, too.

    They would give the root a handler here, and nothing would go to the caller from then on.
    """

    @functools.wraps(configure)
    def configured(*args: Any, **options: Any) -> None:
        if sys._getframe(1).f_globals is not vars(logging):
            configure(*args, **options)

    return configured


def leave_handlers_to_the_caller() -> None:
    """In a fork of the caller's process: its handlers and filters act there, and not here, too."""
    root = logging.getLogger()
    for logger in (root, *root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            _inherited.extend((logger.handlers, logger.filters))
            logger.handlers, logger.filters = [], []


def _call_own_handlers(logger: logging.Logger, record: logging.LogRecord) -> bool:
    """Has it handled as `logging` does; whether there is a handler that shows or keeps it."""
    found = False
    here: logging.Logger | None = logger
    while here is not None:
        for handler in here.handlers:
            found = found or not isinstance(handler, logging.NullHandler)
            if record.levelno >= handler.level:
                handler.handle(record)
        here = here.parent if here.propagate else None
    return found


class _Forwarder(logging.Handler):
    """(A handler by its ways with errors.)"""

    def __init__(self, channel: SideChannel, worker: str) -> None:
        super().__init__()
        self._channel = channel
        self._worker = worker
        self._own = multiprocessing.current_process().name
        self._formatter = logging.Formatter()

    def forward(self, record: logging.LogRecord) -> None:
        try:
            was_sent = self._channel.send("log", self._plain(record))
        except Exception:  # of a __str__, arguments that do not fit, a level that no pipe can hold
            self.handleError(record)  # told on stderr, as ever
            return
        if not was_sent and logging.lastResort is not None:
            logging.lastResort.handle(record)

    def _plain(self, record: logging.LogRecord) -> dict[str, Any]:
        """A record as plain data, of bounded size."""
        trace = record.exc_text
        if not trace and record.exc_info:
            trace = self._formatter.formatException(record.exc_info)
        process = record.processName
        if process == self._own:  # else it is a child that the functor has started
            process = self._worker
        thread = record.threadName
        if record.thread == threading.main_thread().ident:  # of a fork it is one of the caller's
            thread = "MainThread"
        texts = {
            "name": str(record.name),
            "msg": str(record.getMessage()),
            "levelname": str(record.levelname),
            "pathname": str(record.pathname),
            "funcName": record.funcName,
            "threadName": thread,
            "processName": process,
            "taskName": getattr(record, "taskName", None),
            "exc_text": trace or None,
            "stack_info": record.stack_info,
        }
        fields: dict[str, Any] = {
            name: None if text is None else both_ends(str(text), MAX_TEXT)
            for name, text in texts.items()
        }
        for name in ("levelno", "lineno", "thread", "process"):
            fields[name] = int(getattr(record, name) or 0)
        fields["created"] = float(record.created)
        extras = [name for name in vars(record) if name not in _STANDARD][:MAX_EXTRAS]
        fields["extra"] = {name[:MAX_REPR]: _plain_value(vars(record)[name]) for name in extras}
        return fields


def _plain_value(value: Any) -> Any:
    """As it is, if it is a number or a text; else in words."""
    if value is None or type(value) in (bool, float):
        return value
    if type(value) is int and -_MAX_INT <= value < _MAX_INT:
        return value
    return both_ends(value, MAX_TEXT) if type(value) is str else describe(value)
