"""Records that workers have logged, handled by the loggers of this process."""

from __future__ import annotations

import logging
import os
import time
from types import NoneType
from typing import Any

from minipipe.process.source_lines import with_source_lines

# What a record consists of, and of which types that is: nothing else is taken from a pipe.
_TYPES: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "msg": (str,),
    "levelname": (str,),
    "levelno": (int,),
    "pathname": (str,),
    "lineno": (int,),
    "funcName": (str, NoneType),
    "created": (float,),
    "thread": (int,),
    "threadName": (str, NoneType),
    "process": (int,),
    "processName": (str, NoneType),
    "taskName": (str, NoneType),
    "exc_text": (str, NoneType),
    "stack_info": (str, NoneType),
    "extra": (dict,),
}
_PLAIN = (str, int, float, bool, NoneType)
_START_S = time.time() - time.monotonic()


def handle(fields: dict[str, Any], segment: str, worker: str) -> None:
    """Has the logger of the same name handle it, if its level lets it through.

    Args:
        fields: as `checked`.
        segment, worker: become attributes of the record.

    Raises:
        BaseException: what filters and handlers of the user's may raise.
    """
    logger = logging.getLogger(fields["name"])
    if not logger.isEnabledFor(fields["levelno"]):
        return  # its level has become another one since the worker has started
    logger.handle(_record(fields, segment, worker))


def checked(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a record, as they came.

    Raises:
        ValueError: that is no record.
    """
    if fields.keys() != _TYPES.keys():
        raise ValueError(f"no record of a log: it has {sorted(map(str, fields))}")
    for name, types in _TYPES.items():
        if not isinstance(fields[name], types):
            raise ValueError(f"no record of a log: {name} is a {type(fields[name]).__name__}")
    if not all(type(n) is str and isinstance(v, _PLAIN) for n, v in fields["extra"].items()):
        raise ValueError("no record of a log: what is extra is no plain data")
    return fields


def _record(fields: dict[str, Any], segment: str, worker: str) -> logging.LogRecord:
    # (By the record factory of this process.)
    about = dict(fields)
    extra = about.pop("extra")
    record = logging.makeLogRecord(about)
    record.args = ()
    if record.exc_text:
        record.exc_text = with_source_lines(record.exc_text)
    record.filename = os.path.basename(record.pathname)
    record.module = os.path.splitext(record.filename)[0]
    created_s = record.created
    record.msecs = int((created_s - int(created_s)) * 1000) + 0.0
    record.relativeCreated = (created_s - _loggings_start_s()) * 1000
    if record.levelname == f"Level {record.levelno}":  # it may have a name here
        record.levelname = logging.getLevelName(record.levelno)
    for name, value in {"segment": segment, "worker": worker, **extra}.items():
        if name not in about:
            setattr(record, name, value)
    return record


def _loggings_start_s() -> float:
    """When `logging` was imported here; a number of nanoseconds in newer Pythons."""
    start: float = getattr(logging, "_startTime", _START_S)
    return start / 1e9 if start > 1e12 else start
