"""Whom each message of a broadcast reaches: nobody twice, nobody whom it is not for."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.protocol.delivery.membership import Membership
from minipipe.stream import records, wire
from minipipe.stream.fanout import EVERYBODY, Fanout, topics_for
from minipipe.stream.uplink import Uplink
from minipipe.transport import Buffer, InprocTransport

GATEWAY = "inproc://fanout/g"


class Recorder:
    """A publisher that notes by which topics something was sent."""

    address = "recorder"

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, topic: bytes, message: Sequence[Buffer]) -> None:
        self.sent.append(topic)

    def subscriptions(self) -> list[bytes]:
        return []

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        """There is nothing to close."""


def reached(fanout: Fanout, subscribed: dict[int, list[bytes]], targets: list[int]) -> list[int]:
    """The subscribers that a parcel for these comes to, sorted."""
    links = fanout.links_to(targets, everybody=True)
    assert sorted(t for _, reaches in links for t in reaches) == sorted(targets)
    publisher = fanout.publisher
    assert isinstance(publisher, Recorder)
    publisher.sent.clear()
    for link, _ in links:
        link.add(records.Mark(0, 0))
        link.flush()
    return sorted(s for s, topics in subscribed.items() for t in topics if t in publisher.sent)


def made() -> Fanout:
    transport = InprocTransport("inproc://fanout")
    return Fanout(Recorder(), wire.Writer(1, 1), Uplink(Membership(1), transport, GATEWAY))


def test_sole_workers_share_a_message_and_the_others_get_one_each() -> None:
    fanout = made()
    for ident, is_sole in ((1, True), (2, True), (3, False), (4, False)):
        fanout.expect(ident, with_everybody=is_sole)
    links = fanout.links_to([1, 2, 3], everybody=True)
    assert [reaches for _, reaches in links] == [[1, 2], [3]]


# Three segments; each step: a worker comes to one of them, or one of its workers goes.
STEPS = st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=20)


@given(STEPS, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_whoever_comes_and_goes_a_parcel_reaches_whom_it_is_for_once(steps, random) -> None:
    fanout = made()
    segments: list[list[int]] = [[], [], []]
    subscribed: dict[int, list[bytes]] = {}
    ident = EVERYBODY

    def come(segment: int) -> None:
        nonlocal ident
        ident += 1
        segments[segment].append(ident)
        is_sole = len(segments[segment]) == 1
        fanout.expect(ident, with_everybody=is_sole)
        subscribed[ident] = topics_for(ident, with_everybody=is_sole)

    for segment in range(3):
        come(segment)
    for segment, comes in steps:
        workers = segments[segment]
        if comes:
            come(segment)
        elif len(workers) > 1:
            gone = workers.pop(random.randrange(len(workers)))
            fanout.forget({gone})
            del subscribed[gone]
        targets = [random.choice(workers) for workers in segments]
        assert reached(fanout, subscribed, targets) == sorted(targets)
