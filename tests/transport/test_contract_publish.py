"""What `transport.base` promises of publishers and subscriptions, of every transport."""

from __future__ import annotations

import gc
import itertools
import os
import threading
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from minipipe.errors import TransportError
from minipipe.transport import Inbox, Publisher, open_transport
from tests.conftest import DEADLOCK_S, descriptors, wait_until
from tests.transport.conftest import (
    MEGABYTE,
    Bytes,
    Place,
    by_name,
    in_threads,
    native_threads,
    nothing_more,
    numbered,
    on_ipc,
    on_zeromq,
    receive,
)

FLOOD_MESSAGES = 100_000
A, B, C, D = (b"topic  %d" % i for i in range(4))


def hear_of(publisher: Publisher, topic: bytes) -> list[bytes]:
    """All that the publisher hears of until `topic`; that it never does is a deadlock."""
    heard: list[bytes] = []

    def heard_of() -> bool:
        heard.extend(publisher.subscriptions())
        return topic in heard

    wait_until(heard_of, f"the subscription to {topic!r}")
    return heard


def subscriber(place: Place, publisher: Publisher, *topics: bytes, name: str = "s") -> Inbox:
    """An inbox whose subscriptions are in force; the last topic is its own."""
    inbox = place.open().bind(name)
    inbox.subscribe(publisher.address, topics)
    hear_of(publisher, topics[-1])
    return inbox


# ---------------------------------------------------------------- what arrives where
def test_a_subscriber_gets_exactly_what_is_sent_to_its_topics_in_order(place: Place) -> None:
    publisher = place.open().publish("p")
    inbox = subscriber(place, publisher, A, C)
    for i in range(1000):
        for topic in (A, B, C):
            publisher.send(topic, [topic, b"%d" % i])
    assert receive(inbox, 2000) == [[t, b"%d" % i] for i in range(1000) for t in (A, C)]
    assert nothing_more(inbox)


def test_each_of_several_subscribers_to_a_topic_gets_everything(place: Place) -> None:
    publisher = place.open().publish("p")
    inboxes = [subscriber(place, publisher, A, own, name=f"{i}") for i, own in enumerate((B, C, D))]
    for message in numbered(1000):
        publisher.send(A, message)
    publisher.send(C, [b"for one"])
    got = [receive(inbox, 1000) for inbox in inboxes]
    assert got == [numbered(1000)] * 3
    assert receive(inboxes[1], 1) == [[b"for one"]]
    assert all(nothing_more(inbox) for inbox in inboxes)


def test_what_nobody_subscribed_to_is_forgotten(place: Place) -> None:
    publisher = place.open().publish("p")
    publisher.send(A, [b"nobody is there"])
    inbox = subscriber(place, publisher, B)
    publisher.send(A, [b"nobody wants it"])
    publisher.send(B, [b"mine"])
    assert receive(inbox, 1) == [[b"mine"]]
    assert nothing_more(inbox)


def test_a_late_subscriber_gets_only_what_is_sent_from_then_on(place: Place) -> None:
    publisher = place.open().publish("p")
    early = subscriber(place, publisher, A, B, name="early")
    for message in numbered(100):
        publisher.send(A, message)
    late = subscriber(place, publisher, A, C, name="late")
    for message in numbered(100, b"n"):
        publisher.send(A, message)
    assert receive(late, 100) == numbered(100, b"n")
    assert nothing_more(late)
    assert receive(early, 200) == numbered(100) + numbered(100, b"n")


def test_an_inbox_may_subscribe_to_many_publishers_each_with_topics_of_its_own(
    place: Place,
) -> None:
    publishers = [place.open().publish(f"p{i}") for i in range(3)]
    inbox = place.open().bind("s")
    topics = (A, B, C)
    for publisher, topic in zip(publishers, topics, strict=True):
        inbox.subscribe(publisher.address, [topic])
        hear_of(publisher, topic)
    for i in range(100):
        for publisher in publishers:
            for topic in topics:
                publisher.send(topic, [publisher.address.encode(), topic, b"%d" % i])
    got = receive(inbox, 300)
    for publisher, topic in zip(publishers, topics, strict=True):
        address = publisher.address.encode()
        mine = [m for m in got if m[0] == address]
        assert mine == [[address, topic, b"%d" % i] for i in range(100)]
    assert nothing_more(inbox)


def test_a_second_subscription_to_a_publisher_adds_topics_and_repeats_nothing(
    place: Place,
) -> None:
    publisher = place.open().publish("p")
    inbox = subscriber(place, publisher, A, B)
    inbox.subscribe(publisher.address, [A, C])
    hear_of(publisher, C)
    for topic in (A, B, C):
        publisher.send(topic, [topic])
    assert receive(inbox, 3) == [[A], [B], [C]]
    assert nothing_more(inbox)


@pytest.mark.parametrize(
    "message",
    [
        [b""],
        [b"", b"", b""],
        [A],
        [bytes(range(256)) * 16, b"x" * 4095, b"y" * 4096, b"z" * 65_536],
        [b"%d" % i for i in range(300)],
        [b"head", os.urandom(8 * MEGABYTE)],
        [os.urandom(8 * MEGABYTE), b"tail"],
    ],
    ids=["empty", "empties", "a topic", "at the limits", "many", "8 MB", "8 MB first"],
)
def test_a_published_message_arrives_whole_and_byte_for_byte(place: Place, message: Bytes) -> None:
    publisher = place.open().publish("p")
    inboxes = [subscriber(place, publisher, A, own, name=own.hex()) for own in (B, C)]
    for sent in ([b"before"], message, [b"after"]):
        publisher.send(A, sent)
    for inbox in inboxes:
        assert receive(inbox, 3) == [[b"before"], message, [b"after"]]


def test_views_of_any_memory_can_be_published(place: Place) -> None:
    publisher = place.open().publish("p")
    inbox = subscriber(place, publisher, A)
    large = bytearray(os.urandom(MEGABYTE))
    publisher.send(A, [memoryview(b"small")[1:3], memoryview(large)[7:-7], memoryview(b"")])
    assert receive(inbox, 1) == [[b"ma", bytes(large[7:-7]), b""]]


def test_a_buffer_that_the_publisher_forgets_is_freed_when_all_have_it(place: Place) -> None:
    publisher = place.open().publish("p")
    inboxes = [subscriber(place, publisher, A, own, name=own.hex()) for own in (B, C)]
    expected = os.urandom(MEGABYTE)
    array = np.frombuffer(expected, np.uint8).copy()
    freed = weakref.ref(array)
    publisher.send(A, [array.data])
    del array
    assert [receive(inbox, 1) for inbox in inboxes] == [[[expected]]] * 2
    wait_until(lambda: gc.collect() >= 0 and freed() is None, "the buffer to be freed")


def test_what_a_receiver_does_with_its_list_is_not_seen_by_another(place: Place) -> None:
    publisher = place.open().publish("p")
    first, second = (subscriber(place, publisher, A, own, name=own.hex()) for own in (B, C))
    publisher.send(A, [b"head", b"body"])
    while (message := first.receive()) is None:
        first.wait(DEADLOCK_S)
    message.clear()
    assert receive(second, 1) == [[b"head", b"body"]]


# -------------------------------------------------------------- nothing is dropped
def test_nothing_is_lost_from_the_moment_at_which_a_subscription_is_told_of(place: Place) -> None:
    publisher = place.open().publish("p")
    for i in range(20):
        own = b"mine %3d" % i
        inbox = place.open().bind(f"{i}")
        inbox.subscribe(publisher.address, [A, own])
        hear_of(publisher, own)
        for message in numbered(50, own):
            publisher.send(A, message)
        assert receive(inbox, 50) == numbered(50, own)
        inbox.close()


def test_a_subscriber_that_does_not_read_loses_nothing(place: Place) -> None:
    publisher = place.open().publish("p")
    idle = subscriber(place, publisher, A, B, name="idle")
    busy = subscriber(place, publisher, A, C, name="busy")
    large = os.urandom(MEGABYTE)
    for i in range(20_000):
        publisher.send(A, [b"%d" % i, large] if i % 1000 == 0 else [b"%d" % i])
    for inbox in (busy, idle):
        got = receive(inbox, 20_000)
        assert [int(m[0]) for m in got] == list(range(20_000))
        assert [m[1] == large for m in got[::1000]] == [True] * 20


def test_a_subscriber_that_closes_does_no_harm_to_the_others(place: Place) -> None:
    publisher = place.open().publish("p")
    leaving = subscriber(place, publisher, A, B, name="leaving")
    staying = subscriber(place, publisher, A, C, name="staying")
    for i, message in enumerate(numbered(2000)):
        if i == 1000:
            leaving.close()
        publisher.send(A, message)
    assert receive(staying, 2000) == numbered(2000)


# ------------------------------------------------------- what the publisher hears of
def test_the_publisher_hears_of_the_topics_in_the_order_of_the_subscription(place: Place) -> None:
    publisher = place.open().publish("p")
    inbox = place.open().bind("s")
    topics = [b"topic %2d" % i for i in (5, 3, 11, 9, 1, 7, 2)]
    inbox.subscribe(publisher.address, topics)
    assert hear_of(publisher, topics[-1]) == topics
    assert publisher.subscriptions() == []


def test_the_publisher_hears_of_the_own_topic_of_each_who_shares_one(place: Place) -> None:
    publisher = place.open().publish("p")
    first, second = place.open().bind("1"), place.open().bind("2")
    first.subscribe(publisher.address, [A, B])
    assert hear_of(publisher, B) == [A, B]
    second.subscribe(publisher.address, [A, C])
    assert hear_of(publisher, C) == [C]
    first.close()
    second.close()
    assert publisher.subscriptions() == []


def test_a_subscription_ends_a_wait_for_the_descriptor_of_the_publisher(place: Place) -> None:
    here = place.open()
    own, publisher = here.bind("own"), here.publish("p")
    inbox = place.open().bind("s")
    about_to_wait = threading.Event()
    heard: list[bytes] = []

    def wait() -> None:
        while B not in heard:
            if topics := publisher.subscriptions():
                heard.extend(topics)
                continue
            assert own.receive() is None
            about_to_wait.set()
            assert own.wait(None, [publisher.fileno()]) in ([], [publisher.fileno()])

    def subscribe() -> None:
        assert about_to_wait.wait(DEADLOCK_S)
        inbox.subscribe(publisher.address, [A, B])

    in_threads(wait, subscribe)
    assert heard == [A, B]


# ---------------------------------------------------------------- receive and wait
def test_receive_gives_none_when_no_publisher_has_sent_anything(place: Place) -> None:
    publisher = place.open().publish("p")
    inbox = subscriber(place, publisher, A)
    assert [inbox.receive() for _ in range(3)] == [None] * 3
    assert inbox.wait(0.0) == []
    assert nothing_more(inbox)


def test_what_is_published_in_another_thread_ends_a_wait_without_limit(place: Place) -> None:
    publisher = place.open().publish("p")
    inbox = subscriber(place, publisher, A)
    about_to_wait = threading.Event()
    got = []

    def wait() -> None:
        while (message := inbox.receive()) is None:
            about_to_wait.set()
            assert inbox.wait(None) == []
        got.append(message)

    def send() -> None:
        assert about_to_wait.wait(DEADLOCK_S)
        publisher.send(A, [b"wake up"])

    in_threads(wait, send)
    assert got == [[b"wake up"]]


def test_no_wake_up_is_lost_whichever_of_several_senders_it_comes_from(place: Place) -> None:
    here, there = place.open(), place.open()
    inbox, answers = here.bind("i"), there.bind("a")
    answer = here.connect(answers.address)
    senders: list[Callable[[Bytes], None]] = [there.connect(inbox.address).send]
    for name, topic in (("p", A), ("q", B)):
        publisher = there.publish(name)
        inbox.subscribe(publisher.address, [topic])
        hear_of(publisher, topic)
        senders.append(partial(publisher.send, topic))

    def echo() -> None:
        for _ in range(600):
            while (message := inbox.receive()) is None:
                inbox.wait(None)
            answer.send(message)

    def ask() -> None:
        for i in range(600):
            senders[i % 3]([b"%d" % i])
            while (message := answers.receive()) is None:
                answers.wait(None)
            assert bytes(message[0]) == b"%d" % i

    in_threads(echo, ask)


def test_a_wait_may_be_in_one_thread_while_another_subscribes_and_receives(place: Place) -> None:
    publishers = [place.open().publish(f"p{i}") for i in range(3)]
    inbox = place.open().bind("s")
    over = threading.Event()
    got: list[Bytes] = []

    def watch() -> None:
        while not over.is_set():
            assert inbox.wait(0.01) == []

    def take() -> None:
        try:
            for publisher in publishers:
                inbox.subscribe(publisher.address, [A])
                hear_of(publisher, A)
                for message in numbered(500):
                    publisher.send(A, message)
                got.extend(receive(inbox, 500))
        finally:
            over.set()

    in_threads(watch, take)
    assert got == numbered(500) * 3


def test_a_flood_from_one_sender_does_not_hold_up_the_others(place: Place) -> None:
    publishers = [place.open().publish(name) for name in ("p", "q")]
    inbox = place.open().bind("s")
    outlet = place.open().connect(inbox.address)
    for publisher in publishers:
        inbox.subscribe(publisher.address, [A])
        hear_of(publisher, A)
    sends: list[Callable[[Bytes], None]] = [
        outlet.send,
        *(partial(publisher.send, A) for publisher in publishers),
    ]
    for flood in sends:
        others = [send for send in sends if send is not flood]
        for message in numbered(10, b"flood"):
            flood(message)
        assert receive(inbox, 1) == [[b"flood 0"]]
        seen: list[Bytes] = []
        for send in others:
            send([b"other"])
        # As long as the others have not been seen, the flood goes on.
        for i in itertools.count(10):
            if seen.count([b"other"]) == len(others):
                break
            assert i < FLOOD_MESSAGES, "the others are held up"
            flood([b"flood %d" % i])
            seen += receive(inbox, 1)
        got = [m for m in seen if m != [b"other"]]
        got += receive(inbox, i - 1 - len(got))
        assert got == numbered(i, b"flood")[1:]


def test_pushed_and_published_messages_of_many_threads_all_arrive_each_in_order(
    place: Place,
) -> None:
    inbox = place.open().bind("s")

    def pusher(tag: bytes) -> Callable[[], None]:
        outlet = place.open().connect(inbox.address)

        def push() -> None:
            for i in range(300):
                outlet.send([tag, b"%d" % i, tag * 5000])

        return push

    def publisher(tag: bytes) -> Callable[[], None]:
        made = place.open().publish(tag.decode())
        inbox.subscribe(made.address, [A])
        hear_of(made, A)

        def publish() -> None:
            for i in range(300):
                made.send(A, [tag, b"%d" % i, tag * 5000])

        return publish

    works = [*map(pusher, (b"a", b"b")), *map(publisher, (b"c", b"d"))]
    got: list[list[Bytes]] = []
    in_threads(*works, lambda: got.append(receive(inbox, 1200)))
    for tag in (b"a", b"b", b"c", b"d"):
        mine = [m for m in got[0] if m[0] == tag]
        assert mine == [[tag, b"%d" % i, tag * 5000] for i in range(300)]


# ---------------------------------------------------------------------- addresses
@by_name
def test_a_subscriber_may_come_before_its_publisher(place: Place) -> None:
    known = place.open().publish("known")
    address = known.address.removesuffix("known") + "later"
    inbox = place.open().bind("s")
    inbox.subscribe(address, [C, A, B])
    publisher = place.open().publish("later")
    assert publisher.address == address
    assert hear_of(publisher, B) == [C, A, B]
    publisher.send(A, [b"x"])
    assert receive(inbox, 1) == [[b"x"]]


@by_name
def test_inboxes_and_publishers_share_their_names_and_a_taken_one_is_an_error(
    place: Place,
) -> None:
    publisher = place.open().publish("p")
    inbox = place.open().bind("i")
    for take in (place.open().publish, place.open().bind):
        for taken in (publisher, inbox):
            with pytest.raises(TransportError, match="in use") as caught:
                take(taken.address.rpartition("/")[2])
            assert taken.address.partition("://")[2] in str(caught.value)
    inbox.subscribe(publisher.address, [A])
    hear_of(publisher, A)
    publisher.send(A, [b"still mine"])
    assert receive(inbox, 1) == [[b"still mine"]]


@on_ipc
def test_the_socket_path_of_a_publisher_that_is_too_long_is_an_error(place: Place) -> None:
    name = "n" * (108 - len(place.directory) - 1)
    with pytest.raises(TransportError, match="longer than 107 bytes"):
        place.open().publish(name)
    place.open().publish(name[1:])


@on_zeromq
def test_subscribing_at_an_address_that_is_none_is_an_error_and_changes_nothing(
    place: Place,
) -> None:
    publisher = place.open().publish("p")
    inbox = subscriber(place, publisher, A)
    with pytest.raises(TransportError, match="cannot subscribe at 'nonsense'"):
        inbox.subscribe("nonsense", [A])
    publisher.send(A, [b"x"])
    assert receive(inbox, 1) == [[b"x"]]


# ------------------------------------------------------------------------ closing
def test_what_was_published_before_the_close_is_still_delivered(place: Place) -> None:
    worker = place.open()
    publisher = worker.publish("p")
    inbox = subscriber(place, publisher, A)
    sent = [[b"%d" % i, bytes(MEGABYTE)] for i in range(10)]
    for message in sent:
        publisher.send(A, message)
    publisher.close()
    worker.close(linger_s=10.0)
    assert receive(inbox, 10) == sent


def test_a_transport_that_closes_its_publishers_sends_on_for_as_long_as_it_is_told(
    place: Place,
) -> None:
    worker = place.open()
    publisher = worker.publish("p")
    inbox = subscriber(place, publisher, A)
    for message in numbered(1000):
        publisher.send(A, message)
    worker.close(linger_s=10.0)
    assert receive(inbox, 1000) == numbered(1000)


@by_name
def test_a_closed_publisher_frees_its_address_and_its_subscribers_hear_the_next_one(
    place: Place,
) -> None:
    old = place.open().publish("p")
    inbox = subscriber(place, old, A, B)
    old.close()
    old.close()
    new = place.open().publish("p")
    assert new.address == old.address
    heard: list[bytes] = []

    def heard_of() -> bool:
        assert inbox.receive() is None  # over ZeroMQ, it is this that subscribes again
        heard.extend(new.subscriptions())
        return B in heard

    wait_until(heard_of, "the subscriber to subscribe again")
    assert heard == [A, B]
    new.send(A, [b"new"])
    assert receive(inbox, 1) == [[b"new"]]


def test_an_inbox_outlives_a_publisher_that_it_subscribed_to(place: Place) -> None:
    first, second = place.open(), place.open()
    gone, left = first.publish("p"), second.publish("q")
    inbox = place.open().bind("s")
    for publisher in (gone, left):
        inbox.subscribe(publisher.address, [A])
        hear_of(publisher, A)
    first.close()
    left.send(A, [b"published"])
    place.open().connect(inbox.address).send([b"pushed"])
    assert sorted(receive(inbox, 2)) == [[b"published"], [b"pushed"]]


def test_nothing_is_left_of_publishers_and_subscriptions_after_close(place: Place) -> None:
    before = descriptors(), native_threads(), threading.active_count()
    for _ in range(3):
        receiver, sender = place.open(), place.open()
        publisher, forgotten = sender.publish("p"), sender.publish("q")
        inbox = receiver.bind("s")
        for address in (publisher.address, forgotten.address, publisher.address + "0"):
            inbox.subscribe(address, [A])
        hear_of(publisher, A)
        publisher.send(A, [b"received", bytes(MEGABYTE)])
        receive(inbox, 1)
        publisher.send(A, [b"not received"])
        publisher.close()
        sender.close()
        receiver.close()
        receiver.close()
    wait_until(lambda: native_threads() <= before[1], "the transport's threads to end", 10)
    assert descriptors() <= before[0]
    assert threading.active_count() == before[2]
    assert list(Path(place.directory).iterdir()) == []


# ---------------------------------------------------------------- publishers that are gone
def test_an_inbox_keeps_nothing_of_a_publisher_that_it_has_left(place: Place) -> None:
    inbox, other = place.open().bind("s"), place.open()
    stays = other.publish("stays")
    inbox.subscribe(stays.address, [A])
    hear_of(stays, A)
    before = len(descriptors())
    for i in range(20):
        goes = other.publish(f"goes {i}")
        inbox.subscribe(goes.address, [A])
        hear_of(goes, A)
        inbox.unsubscribe(goes.address)
        inbox.unsubscribe(goes.address)  # once more does no harm
        goes.send(A, [b"for nobody"])
        goes.close()
        stays.send(A, [b"%d" % i])
        assert receive(inbox, 1) == [[b"%d" % i]]
    wait_until(lambda: len(descriptors()) <= before + 5, "what it had for them to be given back")


def test_what_a_dead_process_has_bound_is_removed(tmp_path: Path) -> None:
    transport = open_transport(f"ipc://{tmp_path}")
    try:
        (tmp_path / "7").touch()
        (tmp_path / "7p1").touch()
        for name in ("7", "7p1", "8"):
            transport.remove(name)
        assert not list(tmp_path.iterdir())
    finally:
        transport.close()
