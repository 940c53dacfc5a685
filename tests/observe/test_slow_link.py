"""The verdict where a link between machines is what all wait for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from minipipe.observe.load import SegmentLoad
from minipipe.observe.verdict import verdict
from minipipe.protocol.run.link_use import LinkUse

LOAD = SegmentLoad("load", "source", False, 1, 0, 100, 0.1, 0.0, 9.8, 0.1, hosts=("local",))
WORK = SegmentLoad("work", "transform", True, 2, 100, 100, 0.8, 19.0, 0.0, 0.2, hosts=("b",))
LOOP = SegmentLoad("(caller)", "caller", False, 1, 100, 0, 0.1, 9.9, 0.0, 0.0, hosts=("local",))
LINE = (LOAD, WORK, LOOP)
SLOW = LinkUse("b", 10.0, to_s=9.5, to_bytes=47_500_000, from_s=9.0, from_bytes=1000)


def test_the_link_is_named_and_no_workers_are_asked_for() -> None:
    found = verdict(LINE, 8, links=[LinkUse("c", 10.0, 9.9, 10, 9.9, 10), SLOW])
    assert found is not None
    assert (found.bottleneck, found.workers, found.gain) == ("", None, 1.0)
    assert found.limit == "the link to host 'b'"
    assert str(found) == (
        "bottleneck: the link to host 'b' (it carries 5 MB/s; 'load' blocked 98%, 'work' starved "
        "95%). More workers would not make it faster: less to send would (smaller items, or "
        "segments beside each other on one machine, by on=)."
    )


def test_of_both_directions_it_is_the_one_that_carries_more() -> None:
    back = replace(SLOW, to_bytes=1000, from_bytes=90_000_000)
    sender = replace(WORK, starved_s=0.0, blocked_s=19.0)
    found = verdict((replace(LOAD, hosts=("b",)), sender, LOOP), 8, links=[back])
    assert str(found).startswith("bottleneck: the link from host 'b' (it carries 10 MB/s; 'load'")


def test_small_items_may_wait_for_the_way_there_and_back() -> None:
    load = replace(LOAD, bytes_out=100 * 800)
    slow = replace(SLOW, to_bytes=100 * 900)
    assert "small (800 B each): what takes so long" in str(
        verdict((load, WORK, LOOP), 8, links=[slow])
    )
    assert "less to send would" in str(verdict((load, WORK, LOOP), 8, links=[SLOW]))


@pytest.mark.parametrize(
    ("line", "link"),
    [
        (LINE, replace(SLOW, to_s=3.0, from_s=3.0)),  # mostly nothing was under way
        (LINE, replace(SLOW, host="c")),
        ((LOAD, replace(WORK, hosts=("local",)), LOOP), SLOW),  # it does not lie in between
        ((replace(LOAD, blocked_s=3.0, starved_s=6.8), WORK, LOOP), SLOW),
        ((LOAD, replace(WORK, bytes_in=10**9), LOOP), SLOW),  # its items come by another one
        ((replace(LOAD, hosts=()), replace(WORK, hosts=()), replace(LOOP, hosts=())), SLOW),
    ],
)
def test_without_all_of_the_signs_nothing_is_said(
    line: tuple[SegmentLoad, ...], link: LinkUse
) -> None:
    assert verdict(line, 8, links=[link]) is None


def test_who_is_busy_is_the_bottleneck_whatever_is_under_way() -> None:
    busy = replace(WORK, busy_s=19.0, starved_s=1.0)
    found = verdict((LOAD, busy, LOOP), 8, links=[SLOW])
    assert found is not None and found.bottleneck == "work" and found.workers is not None


def test_cores_of_other_machines_are_not_those_of_this_one() -> None:
    busy = replace(WORK, busy_s=19.0, starved_s=0.0, cpu_s=19.0)
    assert "the machine is full" in str(verdict((LOAD, busy, LOOP), 2))
    found = verdict((LOAD, replace(busy, cpu_elsewhere_s=19.0), LOOP), 2)
    assert found is not None and found.bottleneck == "work" and found.limit != "the machine"
