"""What `transport.base` promises, of every transport."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from minipipe.errors import MiniPipeError, TransportError, UnknownTransportError
from minipipe.transport import open_transport
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
    on_tcp,
    on_zeromq,
    receive,
)


# --------------------------------------------------------------------- messages
def test_messages_of_one_outlet_arrive_in_the_order_in_which_they_were_sent(place: Place) -> None:
    inbox = place.open().bind("a")
    outlet = place.open().connect(inbox.address)
    for message in numbered(1000):
        outlet.send(message)
    assert receive(inbox, 1000) == numbered(1000)
    assert nothing_more(inbox)


def test_many_outlets_lead_to_one_inbox_and_each_keeps_its_order(place: Place) -> None:
    inbox = place.open().bind("a")
    tags = [b"%d" % i for i in range(5)]
    outlets = {tag: place.open().connect(inbox.address) for tag in tags}
    for i in range(100):
        for tag, outlet in outlets.items():
            outlet.send([tag, b"%d" % i])
    got = receive(inbox, 500)
    for tag in tags:
        assert [m[1] for m in got if m[0] == tag] == [b"%d" % i for i in range(100)]


def test_an_inbox_is_bound_where_others_are_told_if_nothing_else_is_said(place: Place) -> None:
    inbox = place.open().bind("a")
    assert inbox.bound_address == inbox.address


@on_tcp
def test_others_may_be_told_another_address_than_the_one_that_is_bound(place: Place) -> None:
    transport = place.open("tcp://0.0.0.0", advertise="127.0.0.1")
    inbox, publisher = transport.bind("a"), transport.publish("p")
    port = inbox.address.removeprefix("tcp://127.0.0.1:")
    assert port.isdigit() and inbox.bound_address == f"tcp://0.0.0.0:{port}"
    place.open().connect(inbox.address).send([b"by what was told"])
    assert receive(inbox, 1) == [[b"by what was told"]]
    assert publisher.address.startswith("tcp://127.0.0.1:")
    subscriber = place.open().bind("b")
    subscriber.subscribe(publisher.address, [b"t"])
    wait_until(publisher.subscriptions, "the subscription")
    publisher.send(b"t", [b"to whom has subscribed"])
    assert receive(subscriber, 1) == [[b"to whom has subscribed"]]


def test_one_transport_may_have_many_inboxes_and_outlets(place: Place) -> None:
    transport = place.open()
    inboxes = [transport.bind(f"{i}") for i in range(4)]
    assert len({inbox.address for inbox in inboxes}) == 4
    for i, inbox in enumerate(inboxes):
        transport.connect(inbox.address).send([b"%d" % i])
    assert [receive(inbox, 1) for inbox in inboxes] == [[[b"%d" % i]] for i in range(4)]


@pytest.mark.parametrize(
    "message",
    [
        [b""],
        [b"", b"", b""],
        [b"a", b"", b"c"],
        [bytes(range(256)) * 16, b"x" * 4095, b"y" * 4096, b"z" * 65_536],
        [b"%d" % i for i in range(300)],
        [b"head", os.urandom(8 * MEGABYTE)],
        [os.urandom(8 * MEGABYTE), b"tail"],
        [os.urandom(8 * MEGABYTE)],
        [b"x" * 16_383],
        [b"x" * 16_384],
        [b"+"],  # is what ZeroMQ's outlets put before messages of several frames
        [b"+", b"+"],
    ],
    ids=str.split("empty empties inside limits many 8MB 8MB-first 8MB-alone 16k-1 16k + ++"),
)
def test_a_message_arrives_whole_and_byte_for_byte(place: Place, message: Bytes) -> None:
    inbox = place.open().bind("a")
    outlet = place.open().connect(inbox.address)
    outlet.send([b"before"])
    outlet.send(message)
    outlet.send([b"after"])
    assert receive(inbox, 3) == [[b"before"], message, [b"after"]]


def test_views_of_any_memory_can_be_sent(place: Place) -> None:
    inbox = place.open().bind("a")
    outlet = place.open().connect(inbox.address)
    large = bytearray(os.urandom(MEGABYTE))
    outlet.send([memoryview(b"small")[1:3], memoryview(large)[7:-7], memoryview(b"")])
    assert receive(inbox, 1) == [[b"ma", bytes(large[7:-7]), b""]]


def test_the_sender_may_forget_a_buffer_once_it_is_sent(place: Place) -> None:
    inbox = place.open().bind("a")
    outlet = place.open().connect(inbox.address)
    expected = []
    for i in range(8):
        large = bytes([i]) * MEGABYTE
        outlet.send([large])
        expected.append([(i, MEGABYTE)])
        del large
    assert [[(f[0], f.count(f[:1])) for f in m] for m in receive(inbox, 8)] == expected


def test_what_was_received_stays_when_all_is_closed(place: Place) -> None:
    inbox = place.open().bind("a")
    outlet = place.open().connect(inbox.address)
    sent = [b"head", b"s" * 10, b"m" * 10_000, b"l" * MEGABYTE]
    outlet.send(sent)
    while (kept := inbox.receive()) is None:
        inbox.wait(DEADLOCK_S)
    inbox.close()
    place.close()
    assert [bytes(frame) for frame in kept] == sent


def test_messages_of_many_threads_are_not_mixed(place: Place) -> None:
    inbox = place.open().bind("a")

    def sender(tag: bytes) -> Callable[[], None]:
        outlet = place.open().connect(inbox.address)

        def send() -> None:
            for i in range(200):
                outlet.send([tag, b"%d" % i, tag * 5000])

        return send

    got: list[list[Bytes]] = []
    in_threads(*map(sender, (b"a", b"b", b"c")), lambda: got.append(receive(inbox, 600)))
    for tag in (b"a", b"b", b"c"):
        mine = [m for m in got[0] if m[0] == tag]
        assert mine == [[tag, b"%d" % i, tag * 5000] for i in range(200)]


def test_a_reader_that_is_slow_loses_nothing(place: Place) -> None:
    inbox = place.open().bind("a")
    outlet = place.open().connect(inbox.address)
    for message in numbered(20_000):
        outlet.send(message)
    assert receive(inbox, 20_000) == numbered(20_000)


# ---------------------------------------------------------------- receive and wait
def test_receive_gives_none_when_there_is_nothing(place: Place) -> None:
    inbox = place.open().bind("a")
    assert [inbox.receive() for _ in range(3)] == [None] * 3


def test_a_wait_that_times_out_gives_nothing(place: Place) -> None:
    inbox = place.open().bind("a")
    assert inbox.wait(0.0) == []
    assert inbox.wait(0.000_1) == []
    assert inbox.wait(0.02) == []
    assert inbox.receive() is None


def test_a_message_from_another_thread_ends_a_wait_without_limit(place: Place) -> None:
    inbox = place.open().bind("a")
    outlet = place.open().connect(inbox.address)
    about_to_wait = threading.Event()
    got = []

    def wait() -> None:
        while (message := inbox.receive()) is None:
            about_to_wait.set()
            assert inbox.wait(None) == []
        got.append(message)

    def send() -> None:
        assert about_to_wait.wait(DEADLOCK_S)
        outlet.send([b"wake up"])

    in_threads(wait, send)
    assert got == [[b"wake up"]]


def test_no_wake_up_is_lost_in_many_messages_there_and_back(place: Place) -> None:
    here, there = place.open(), place.open()
    inboxes = here.bind("a"), there.bind("b")
    outlets = here.connect(inboxes[1].address), there.connect(inboxes[0].address)

    def play(side: int) -> Callable[[], None]:
        def turns() -> None:
            if side == 0:
                outlets[0].send([b"0"])
            for _ in range(300):
                while (message := inboxes[side].receive()) is None:
                    inboxes[side].wait(None)
                outlets[side].send([b"%d" % (int(bytes(message[0])) + 1)])

        return turns

    in_threads(play(0), play(1))
    assert receive(inboxes[1], 1) == [[b"600"]]


def test_a_wait_may_be_in_one_thread_while_another_receives(place: Place) -> None:
    inbox = place.open().bind("a")
    outlet = place.open().connect(inbox.address)
    over = threading.Event()
    got: list[list[Bytes]] = []

    def watch() -> None:
        while not over.is_set():
            assert inbox.wait(0.01) == []

    def take() -> None:
        try:
            got.append(receive(inbox, 3000))
        finally:
            over.set()

    def send() -> None:
        for message in numbered(3000):
            outlet.send(message)

    in_threads(watch, take, send)
    assert got == [numbered(3000)]


def test_a_wait_gives_just_those_descriptors_that_are_readable(place: Place) -> None:
    inbox = place.open().bind("a")
    pipes = [os.pipe() for _ in range(3)]
    readers = [reader for reader, _ in pipes]
    try:
        assert inbox.wait(0.0, readers) == []
        os.write(pipes[1][1], b"!")
        assert inbox.wait(None, readers) == [readers[1]]
        assert inbox.wait(None, readers) == [readers[1]]
        os.close(pipes[2][1])  # nobody can write any more: whoever reads should see that
        assert sorted(inbox.wait(None, readers)) == sorted(readers[1:])
    finally:
        for fd in (*readers, pipes[0][1], pipes[1][1]):
            os.close(fd)


def test_a_message_ends_a_wait_for_descriptors_as_well(place: Place) -> None:
    inbox = place.open().bind("a")
    outlet = place.open().connect(inbox.address)
    reader, writer = os.pipe()
    try:
        assert inbox.receive() is None
        outlet.send([b"x"])
        got = []

        def take() -> None:
            while (message := inbox.receive()) is None:
                assert inbox.wait(None, [reader]) == []
            got.append(message)

        in_threads(take)
        assert got == [[b"x"]]
    finally:
        os.close(reader)
        os.close(writer)


# ------------------------------------------------------------- binding, connecting
@by_name
def test_what_is_sent_before_the_inbox_is_bound_is_delivered(place: Place) -> None:
    known = place.open().bind("known")
    address = known.address.removesuffix("known") + "later"
    outlet = place.open().connect(address)
    for message in numbered(10):
        outlet.send(message)
    inbox = place.open().bind("later")
    assert inbox.address == address
    assert receive(inbox, 10) == numbered(10)


@by_name
def test_an_address_in_use_is_an_error_that_names_it(place: Place) -> None:
    inbox = place.open().bind("a")
    with pytest.raises(TransportError, match="in use") as caught:
        place.open().bind("a")
    assert inbox.address.partition("://")[2] in str(caught.value)
    place.open().connect(inbox.address).send([b"still mine"])
    assert receive(inbox, 1) == [[b"still mine"]]


@by_name
def test_a_closed_inbox_frees_its_address_and_forgets_what_was_not_received(place: Place) -> None:
    old = place.open().bind("a")
    outlet = place.open().connect(old.address)
    outlet.send([b"received"])
    receive(old, 1)
    outlet.send([b"not received"])
    outlet.close()
    old.wait(10)
    old.close()
    new = place.open().bind("a")
    assert nothing_more(new)
    place.open().connect(new.address).send([b"new"])
    assert receive(new, 1) == [[b"new"]]


# finding: over ipc the socket's file stays, and the address with it
@by_name
def test_closing_a_transport_frees_the_addresses_of_its_inboxes(place: Place) -> None:
    transport = place.open()
    address = transport.bind("a").address
    transport.close()
    inbox = place.open().bind("a")
    assert inbox.address == address


# finding: over inproc all inboxes under the same base are closed, whoever made them
def test_closing_a_transport_closes_nothing_that_another_made(place: Place) -> None:
    inbox = place.open().bind("a")
    other = place.open()
    other.bind("b")
    other.close()
    place.open().connect(inbox.address).send([b"x"])
    assert receive(inbox, 1) == [[b"x"]]


@on_ipc
def test_a_socket_path_that_is_too_long_is_an_error_that_says_so(place: Place) -> None:
    name = "n" * (108 - len(place.directory) - 1)
    with pytest.raises(TransportError, match="longer than 107 bytes") as caught:
        place.open().bind(name)
    assert name in str(caught.value)
    assert "TMPDIR" in str(caught.value)
    place.open().bind(name[1:])


@on_ipc
def test_a_directory_that_is_not_there_is_an_error_that_names_it(place: Place) -> None:
    transport = place.open(f"ipc://{place.directory}/missing")
    with pytest.raises(TransportError, match="missing"):
        transport.bind("a")


@on_tcp
def test_a_host_that_is_not_this_one_is_an_error_that_names_it(place: Place) -> None:
    transport = place.open("tcp://192.0.2.1")  # RFC 5737: nobody has it
    with pytest.raises(TransportError, match=r"192\.0\.2\.1"):
        transport.bind("a")


@on_zeromq
def test_an_address_that_is_none_is_an_error_that_names_it(place: Place) -> None:
    with pytest.raises(TransportError, match="nonsense"):
        place.open().connect("nonsense")
    with pytest.raises(TransportError, match=r"127\.0\.0\.1:port"):
        place.open().connect("tcp://127.0.0.1:port")


def test_an_unknown_transport_is_an_error_that_names_those_known_and_the_nearest() -> None:
    with pytest.raises(UnknownTransportError) as caught:
        open_transport("tpc://127.0.0.1:5555")
    assert str(caught.value) == (
        "unknown transport 'tpc' in 'tpc://127.0.0.1:5555' (known: inproc, ipc, tcp); "
        "did you mean 'tcp'?"
    )


@pytest.mark.parametrize("base", ["", "ipc", "/tmp/x", "xyz://a", "tcp:/127.0.0.1"])
def test_a_base_without_a_known_scheme_opens_nothing(base: str) -> None:
    with pytest.raises(UnknownTransportError):
        open_transport(base)


def test_transport_errors_are_os_errors_and_ours() -> None:
    assert issubclass(TransportError, OSError)
    assert issubclass(TransportError, MiniPipeError)
    assert issubclass(UnknownTransportError, ValueError)


# ------------------------------------------------------------------------ closing
# finding: over inproc, closing the sender's transport also closes the inbox of the receiver's
def test_a_sender_that_closes_at_once_loses_nothing(place: Place) -> None:
    inbox = place.open().bind("a")
    sender = place.open()
    outlet = sender.connect(inbox.address)
    for message in numbered(1000):
        outlet.send(message)
    sender.close(linger_s=10.0)
    assert receive(inbox, 1000) == numbered(1000)


# finding: a closed outlet drops what is not sent yet (LINGER is 0), whatever linger_s is
# (over inproc it fails for the reason above)
def test_an_outlet_closed_before_its_transport_loses_nothing(place: Place) -> None:
    inbox = place.open().bind("a")
    sender = place.open()
    outlet = sender.connect(inbox.address)
    sent = [[b"%d" % i, bytes(MEGABYTE)] for i in range(10)]
    for message in sent:
        outlet.send(message)
    outlet.close()
    sender.close(linger_s=10.0)
    assert receive(inbox, 10, within_s=2.0) == sent


def test_an_outlet_may_close_while_others_of_its_transport_go_on(place: Place) -> None:
    inbox = place.open().bind("a")
    sender = place.open()
    first, second = sender.connect(inbox.address), sender.connect(inbox.address)
    first.send([b"first"])
    assert receive(inbox, 1) == [[b"first"]]
    first.close()
    second.send([b"second"])
    assert receive(inbox, 1) == [[b"second"]]


def test_closing_does_not_wait_for_a_receiver_that_is_gone(place: Place) -> None:
    inbox = place.open().bind("a")
    address = inbox.address
    inbox.close()
    sender = place.open()
    sender.connect(address).send([b"to nobody"])
    sender.close(linger_s=0.05)


# finding: over inproc, a second close of the inbox (by its transport) takes the mailbox that the
# late messages made out of the registry without closing it: its pipe stays open
def test_a_sender_survives_the_close_of_its_receiver(place: Place) -> None:
    inbox = place.open().bind("a")
    outlet = place.open().connect(inbox.address)
    outlet.send([b"x"])
    receive(inbox, 1)
    inbox.close()
    for message in numbered(100):
        outlet.send(message)


def test_a_transport_may_be_closed_twice(place: Place) -> None:
    transport = place.open()
    transport.bind("a")
    transport.close()
    transport.close()


def test_nothing_is_left_after_close(place: Place) -> None:
    before = descriptors(), native_threads(), threading.active_count()
    for _ in range(3):
        receiver, sender = place.open(), place.open()
        inbox = receiver.bind("a")
        outlet = sender.connect(inbox.address)
        outlet.send([b"received", bytes(MEGABYTE)])
        receive(inbox, 1)
        outlet.send([b"not received"])
        sender.connect(inbox.address + "0").send([b"to nobody"])
        outlet.close()
        inbox.close()
        sender.close()
        receiver.close()
    wait_until(lambda: native_threads() <= before[1], "the transport's threads to end", 10)
    assert descriptors() <= before[0]
    assert threading.active_count() == before[2]
    assert list(Path(place.directory).iterdir()) == []


# finding: see above, the file of an inbox that was not closed itself stays
def test_no_socket_file_is_left_by_a_transport_that_was_closed_as_a_whole(place: Place) -> None:
    transport = place.open()
    inbox = transport.bind("a")
    transport.connect(inbox.address).send([b"x"])
    receive(inbox, 1)
    transport.close()
    assert list(Path(place.directory).iterdir()) == []
