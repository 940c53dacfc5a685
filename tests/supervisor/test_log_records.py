"""What workers log, as the supervisor takes it from a pipe."""

from __future__ import annotations

import logging
from typing import Any

import msgpack
import pytest

from minipipe.protocol.run.chunks import chunks
from minipipe.supervisor import log_records
from minipipe.supervisor.side_channel import SideChannelReader

FIELDS: dict[str, Any] = {
    "name": "of.a.test",
    "msg": "what 5",
    "levelname": "WARNING",
    "levelno": 30,
    "pathname": "/some/where.py",
    "lineno": 7,
    "funcName": "f",
    "created": 1_700_000_000.25,
    "thread": 1,
    "threadName": "MainThread",
    "process": 4711,
    "processName": "work/0",
    "taskName": None,
    "exc_text": None,
    "stack_info": None,
    "extra": {"user": "me"},
}


def written(*said: object) -> bytes:
    return b"".join(c for n, m in enumerate(said) for c in chunks(msgpack.packb(m), 1, n, 512))


def test_a_record_is_as_if_it_had_been_logged_here(caplog: pytest.LogCaptureFixture) -> None:
    SideChannelReader("work", "work/0").add(written(["log", FIELDS]))
    (record,) = caplog.records
    assert record.getMessage() == "what 5"
    assert (record.segment, record.worker) == ("work", "work/0")
    assert (record.name, record.levelno, record.process) == ("of.a.test", 30, 4711)
    assert (record.filename, record.module, record.msecs) == ("where.py", "where", 250)
    assert record.user == "me"
    assert record.exc_info is None and not record.args


def test_what_a_user_calls_worker_is_the_users(caplog: pytest.LogCaptureFixture) -> None:
    extra = {"worker": "mine", "extra": "too", "name": "no"}
    SideChannelReader("work", "work/0").add(written(["log", {**FIELDS, "extra": extra}]))
    (record,) = caplog.records
    assert (record.worker, record.segment, record.extra) == ("mine", "work", "too")
    assert record.name == "of.a.test"


def test_a_level_has_the_name_that_it_has_here(caplog: pytest.LogCaptureFixture) -> None:
    logging.addLevelName(33, "NOTABLE")
    fields = {**FIELDS, "levelno": 33, "levelname": "Level 33"}
    SideChannelReader("work", "work/0").add(written(["log", fields]))
    assert caplog.records[0].levelname == "NOTABLE"


def test_a_level_that_was_raised_since_holds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "of.a.test")
    SideChannelReader("work", "work/0").add(written(["log", FIELDS]))
    assert not caplog.records


@pytest.mark.parametrize(
    "said",
    [
        7,
        ["log"],
        ["log", 7],
        ["other", {}],
        ["log", {}],
        ["log", {**FIELDS, "more": 1}],
        *(["log", {**FIELDS, name: [1]}] for name in FIELDS),
        ["log", {**FIELDS, "extra": {"user": [1]}}],
    ],
)
def test_what_is_no_record_is_refused(said: object, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError):
        SideChannelReader("work", "work/0").add(written(said))
    assert not caplog.records


def test_a_filter_that_raises_is_told_of_once() -> None:
    def refuses(record: logging.LogRecord) -> bool:
        raise SystemExit("not mine")

    logger = logging.getLogger("of.a.test")
    logger.addFilter(refuses)
    try:
        reader = SideChannelReader("work", "work/0")
        told = reader.add(written(["log", FIELDS], ["log", FIELDS], ["log", FIELDS]))
    finally:
        logger.removeFilter(refuses)
    (text,) = told
    assert "'work/0'" in text and "'of.a.test'" in text and "SystemExit: not mine" in text


def test_a_record_factory_of_the_users_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    plain = logging.getLogRecordFactory()

    def made(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = plain(*args, **kwargs)
        record.job = "of mine"
        return record

    logging.setLogRecordFactory(made)
    try:
        log_records.handle(log_records.checked(FIELDS), "work", "work/0")
    finally:
        logging.setLogRecordFactory(plain)
    assert caplog.records[0].job == "of mine"
