"""What a machine says of itself when it joins."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.errors import WireFormatError
from minipipe.protocol.hosts.names import MAX_CHARACTERS, as_name, distinct, is_name
from minipipe.protocol.hosts.offer import Offer, read_offer, welcomed, write_offer

names = st.from_regex(r"[a-zA-Z0-9]([a-z.-]{0,9}[a-z0-9])?", fullmatch=True).filter(
    lambda name: name not in ("local", "any")
)
texts = st.text(max_size=20)
gpus = st.lists(st.sampled_from(["0", "1", "GPU-8f3c"]), unique=True).map(tuple)
offers = st.builds(
    Offer,
    names,
    st.integers(1, 256),
    gpus,
    st.lists(names, max_size=4).map(tuple),
    st.integers(0, 99_999),
    st.dictionaries(texts, texts, max_size=3),
)
OFFER = Offer("node", 8, ("0", "1"), ("gpu",), 412, {"python": "3.11.9"})


@settings(max_examples=50)
@given(offers)
def test_what_is_written_is_read(offer: Offer) -> None:
    assert read_offer(write_offer(offer)) == offer


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"slots": 0}, "a number in it is out of range"),
        ({"slots": True}, "slots is bool"),
        ({"slots": 1e3}, "1000.0 is no whole number"),
        ({"slots": float("nan")}, "NaN is no whole number"),
        ({"pid": -1}, "out of range"),
        ({"name": "local"}, "a name in it is none"),
        ({"name": "../node"}, "a name in it is none"),
        ({"tags": ["any"]}, "a name in it is none"),
        ({"tags": [3]}, "something in it is no text"),
        ({"tags": "gpu"}, "tags is str"),
        ({"gpus": ["0", "0"]}, "its GPUs are none"),
        ({"gpus": ["0,1"]}, "its GPUs are none"),
        ({"gpus": ["\ud800"]}, "its GPUs are none"),
        ({"gpus": ["\x1b[2J"]}, "its GPUs are none"),
        ({"facts": {"a": ["b"]}}, "something in it is no text"),
        ({"facts": {"a": "b" * 2000}}, "a text in it is too long"),
        ({"tags": ["a"] * 2000}, "it lists too much"),
        ({"more": 1}, "it has other fields"),
    ],
)
def test_what_is_none_is_refused(change: dict[str, object], said: str) -> None:
    content = json.loads(write_offer(OFFER))
    with pytest.raises(WireFormatError, match=f"an offer of a machine that is none: .*{said}"):
        read_offer(json.dumps({**content, **change}).encode())


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b"3", b"[" * 60_000, b'{"name":', write_offer(OFFER)[:-1]],
    ids=range(7),
)
def test_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(WireFormatError):
        read_offer(content)


def test_the_second_machine_of_a_name_gets_a_number() -> None:
    assert welcomed(OFFER, {"local"}).name == "node"
    second = welcomed(OFFER, {"local", "node"})
    assert (second.name, second.slots) == ("node-2", 8)
    assert welcomed(OFFER, {"node", "node-2", "node-3"}).name == "node-4"


@given(st.text(max_size=99))
def test_any_text_becomes_a_name(text: str) -> None:
    name = as_name(text, "run")
    assert is_name(name)
    longest = distinct(name, {name})
    assert is_name(longest) and longest != name and len(longest) <= MAX_CHARACTERS
