"""Who may join a run, and what they hear who may not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from minipipe.agent.welcoming import decide, read_told
from minipipe.errors import JoinError
from minipipe.process.versions import versions
from minipipe.protocol.hosts.joining import Refused, Welcome
from minipipe.protocol.hosts.offer import Offer, write_offer
from minipipe.supervisor.hosts.gateway_words import About

VERSIONS = versions()
ABOUT = About("train", 15.0, VERSIONS, (), b"", b"")


def offer(**changed: str) -> bytes:
    return write_offer(Offer("node", 4, facts={**VERSIONS.to_facts(), **changed}))


def test_a_second_host_of_a_name_is_told_its_own() -> None:
    first = decide(offer(), ABOUT, [])
    assert first.offer is not None and first.offer.name == "node"
    second = decide(offer(), ABOUT, ["node"])
    assert isinstance(second.answer, Welcome)
    told = read_told(second.answer.about, "there")
    assert (told.run, told.name, told.lost_after_s) == ("train", "node-2", 15.0)


def test_another_version_is_refused_with_a_table_of_both() -> None:
    decision = decide(offer(**{"package minipipe": "9.9"}), ABOUT, [])
    assert isinstance(decision.answer, Refused) and decision.offer is None
    assert "9.9" in decision.answer.why and VERSIONS.packages["minipipe"] in decision.answer.why
    assert decision.note


def test_so_it_is_where_its_offer_has_other_fields() -> None:
    content = json.loads(offer(**{"package minipipe": "9.9"}))
    later = json.dumps({**content, "cores_of_its_own": 3}).encode()
    decision = decide(later, ABOUT, [])
    assert isinstance(decision.answer, Refused) and "9.9" in decision.answer.why


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff", b'{"facts": 3}', b'{"facts": {"python": 3}}']
)
def test_what_is_no_offer_is_refused(content: bytes) -> None:
    decision = decide(content, ABOUT, [])
    assert isinstance(decision.answer, Refused) and decision.offer is None


@pytest.mark.parametrize("content", [b"", b"{}", b'{"run": "a", "name": "b", "lost_after_s": "c"}'])
def test_what_no_run_says_is_an_error(content: bytes) -> None:
    with pytest.raises(JoinError):
        read_told(content, "tcp://there:1")


def test_what_may_go_wrong_is_noted() -> None:
    about: Any = replace(
        ABOUT,
        needed=("scikit-learn",),
        versions=replace(VERSIONS, packages={**VERSIONS.packages, "scikit-learn": "0.1"}),
    )
    decision = decide(offer(), about, [])
    assert decision.offer is not None and "scikit-learn" in decision.note
