"""What another host may say to workers here."""

from __future__ import annotations

import re
from pathlib import Path

import minipipe
from minipipe.protocol.delivery.membership import SUPERVISOR
from minipipe.stream import records, wire
from minipipe.stream.foreign import ORDERS, REPORTS, ByLink, check_foreign
from minipipe.stream.freight import landed, loaded
from minipipe.transport import NATIVE

LINK = ByLink("a link", NATIVE)


def test_all_that_a_supervisor_says_is_an_order() -> None:
    effects = Path(minipipe.__file__).parent / "supervisor" / "effects.py"
    said = set(re.findall(r"\brecords\.([A-Z]\w*)\(", effects.read_text()))
    assert said == {order.__name__ for order in ORDERS}


def test_workers_say_what_they_always_say() -> None:
    write = wire.Writer(7, 5).write
    items = records.Items(0, 0, 5, (0, 1), (), (), (), (), (7, 3, 0, 0, 4096), (), b"body")
    freight = records.Freight([(0, 8)])
    check_foreign([write([records.Mark(0, 3), freight, items]), b"frame"], (2, 3), {5}, LINK)
    check_foreign([write([records.Confirm(0, 0, (0, 1), ())])], (2,), {5}, LINK)
    check_foreign([write([records.Wired(), records.Ended()])], (SUPERVISOR,), {5}, LINK)


def test_nothing_is_for_workers_and_for_the_supervisor() -> None:
    assert {records.Done, records.Letter, records.PassDone} <= REPORTS
    assert not REPORTS & (ORDERS | {records.Items, records.Hello, records.Fenced})


def test_what_is_no_head_says_nothing_of_slots() -> None:
    assert all(loaded(head) is None for head in (b"", b"\x80", b"\x81\x03\x90", b"\x94\1\1\1\x80"))
    assert all(landed(head) is None for head in (b"", b"\x80", b"\x94\1\1\1\x91\x92\x13\x80"))
