"""Which hosts can work together, by what they run."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from minipipe.errors import WireFormatError
from minipipe.protocol.hosts.offer import Offer, read_offer, write_offer
from minipipe.protocol.hosts.versions import MAX_PACKAGES_BYTES, Versions, compare, from_facts

CORE = {"minipipe": "0.2.0", "numpy": "2.1.0", "msgpack": "1.0.8", "cloudpickle": "3.1.1"}
OURS = Versions("3.11.7", "CPython", "little", 64, {**CORE, "torch": "2.5.1"})


def but(**packages: str) -> Versions:
    return replace(OURS, packages={**OURS.packages, **packages})


def without(name: str) -> Versions:
    return replace(OURS, packages={key: v for key, v in OURS.packages.items() if key != name})


def test_the_same_fits_and_so_does_another_micro_version() -> None:
    for theirs in (OURS, replace(OURS, python="3.11.12"), but(other="7")):
        verdict = compare(OURS, theirs, needed=["torch", "not-here"])
        assert (verdict.refused, verdict.warnings) == (False, ())


@pytest.mark.parametrize(
    ("theirs", "differs"),
    (
        (replace(OURS, python="3.12.7"), "Python"),
        (replace(OURS, implementation="PyPy"), "Interpreter"),
        (replace(OURS, byte_order="big"), "Processor"),
        (replace(OURS, bits=32), "Processor"),
        (but(minipipe="0.2.1"), "MiniPipe"),
        (but(numpy="1.26.4"), "NumPy"),
        (but(msgpack="0.6.2"), "msgpack"),
        (but(cloudpickle="2.2.1"), "cloudpickle"),
        (but(numpy="unheard"), "NumPy"),
        (without("numpy"), "NumPy"),
    ),
)
def test_what_cannot_work_is_refused(theirs: Versions, differs: str) -> None:
    for verdict in (compare(OURS, theirs), compare(theirs, OURS)):
        assert verdict.refused
        assert verdict.why.startswith(f"{differs} cannot differ between hosts:\n")


@pytest.mark.parametrize(
    ("theirs", "warned"),
    (
        (but(numpy="2.3.0"), "NumPy is 2.3.0 on host 'b', and 2.1.0 in this run: may differ"),
        (but(cloudpickle="3.0.0"), "cloudpickle is 3.0.0"),
        (but(torch="1.0"), "torch is 1.0 on host 'b', and 2.5.1 in this run: functors import it"),
        (without("torch"), "torch is missing on host 'b'.*: functors that import it fail there"),
    ),
)
def test_what_may_fail_is_warned_of(theirs: Versions, warned: str) -> None:
    verdict = compare(OURS, theirs, needed=["torch", "torch", "numpy"], their_name="host 'b'")
    assert not verdict.refused
    (warning,) = verdict.warnings
    assert re.match(warned, warning)


def test_of_a_host_that_has_not_said_all_nothing_is_missing() -> None:
    verdict = compare(OURS, replace(without("torch"), is_whole=False), needed=["torch"])
    assert verdict.warnings == () and "unknown" in verdict.table


def test_the_table_has_both_sides() -> None:
    theirs = replace(but(numpy="1.26.4"), python="3.12.1")
    verdict = compare(OURS, theirs, needed=["torch"], their_name="host 'gpu-1'")
    assert verdict.table == (
        "             this run  host 'gpu-1'\n"
        "Python       3.11.7    3.12.1        must be the same but for its last part: functions "
        "travel as bytecode\n"
        "MiniPipe     0.2.0     0.2.0\n"
        "NumPy        2.1.0     1.26.4        must be of the same major version\n"
        "msgpack      1.0.8     1.0.8\n"
        "cloudpickle  3.1.1     3.1.1\n"
        "torch        2.5.1     2.5.1"
    )


def test_what_a_host_says_comes_through_and_no_more_than_fits() -> None:
    offer = Offer("gpu-1", 1, facts={**OURS.to_facts(), "more": "to come"})
    assert from_facts(read_offer(write_offer(offer)).facts) == OURS
    many = but(**{f"a{number}": 20 * "7" for number in range(5000)})
    facts = many.to_facts()
    assert {f"package {name}": version for name, version in CORE.items()}.items() <= facts.items()
    assert len(write_offer(Offer("gpu-1", 1, facts=facts))) < MAX_PACKAGES_BYTES + 1000
    read_offer(write_offer(Offer("gpu-1", 1, facts=facts)))
    assert from_facts(facts).is_whole is False


def test_what_no_host_would_say_is_refused_and_nothing_of_it_moves_a_cursor() -> None:
    facts = OURS.to_facts()
    for one in ({}, {**facts, "bits": "some"}, {"python": "3.11"}):
        with pytest.raises(WireFormatError, match="not whole"):
            from_facts(one)
    read = from_facts({**facts, "python": "3.11\x1b[2J\n" + 1000 * "x"})
    assert read.python.isprintable() and len(read.python) == 200
