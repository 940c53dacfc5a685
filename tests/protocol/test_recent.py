"""Both ends of a connection know which definitions the other one has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.delivery.recent import Recent

TOKENS = [bytes([n]) for n in range(8)]
MESSAGES = st.lists(st.lists(st.sampled_from(TOKENS), unique=True, max_size=6), max_size=40)


@given(MESSAGES, st.integers(1, 5))
def test_a_receiver_has_every_definition_that_its_sender_takes_it_to_have(
    messages: list[list[bytes]], limit: int
) -> None:
    sender: Recent[None] = Recent(limit)
    receiver: Recent[bytes] = Recent(limit)
    for tokens in messages:
        lacking = sender.lacking(tokens)
        sender.used(dict.fromkeys(tokens))

        named = {}
        for token in tokens:
            kept = token if token in lacking else receiver.get(token)
            assert kept is not None, (token, messages)
            named[token] = kept
        receiver.used(named)

        assert len(sender) == len(receiver) <= limit


@given(MESSAGES, MESSAGES)
def test_a_receiver_that_came_later_gets_what_it_lacks_from_what_goes_to_all(
    before: list[list[bytes]], after: list[list[bytes]]
) -> None:
    books = {"old": Recent[None](3)}
    held = {"old": Recent[bytes](3)}
    for place, tokens in enumerate([*before, *after]):
        if place == len(before):
            books["new"], held["new"] = Recent(3), Recent(3)
        lacking: set[bytes] = set()
        for book in books.values():
            lacking |= book.lacking(tokens)
            book.used(dict.fromkeys(tokens))
        for receiver in held.values():
            named = {token: token if token in lacking else receiver.get(token) for token in tokens}
            assert None not in named.values()
            receiver.used({token: token for token in named})


def test_what_was_not_used_for_longest_goes_first() -> None:
    recent: Recent[int] = Recent(2)
    recent.used({b"a": 1, b"b": 2})
    recent.used({b"a": 1})
    recent.used({b"c": 3})
    assert recent.lacking([b"a", b"b", b"c"]) == {b"b"}


def test_a_message_that_names_more_than_the_limit_leaves_the_last_of_them() -> None:
    recent: Recent[int] = Recent(2)
    recent.used({b"z": 0})
    recent.used({bytes([n]): n for n in range(5)})
    assert [recent.get(bytes([n])) for n in range(5)] == [None, None, None, 3, 4]
    assert recent.get(b"z") is None
