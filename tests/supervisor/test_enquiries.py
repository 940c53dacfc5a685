"""Who asks a run is answered, and whoever asks can do nothing to it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from minipipe.supervisor.enquiries import CLIENTS, SOCKET, Enquiries
from tests.conftest import pipeline_threads, wait_until

LARGE = b"x" * (1 << 23)  # more than a socket holds


@pytest.fixture
def enquiries(tmp_path: Path) -> Iterator[Enquiries]:
    made = Enquiries()
    made.answer = lambda: LARGE
    assert made.open(str(tmp_path)) == made.filenos()
    yield made
    made.end()


def connect(folder: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(30)
    try:
        while True:
            try:
                client.connect(str(folder / SOCKET))
                return client
            except BlockingIOError:  # as many wait as may: it comes to them
                time.sleep(0.01)
    except OSError:
        client.close()
        raise


def read(client: socket.socket) -> bytes:
    parts = []
    try:
        while part := client.recv(1 << 20):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def test_nothing_is_there_until_somebody_asks(enquiries: Enquiries, tmp_path: Path) -> None:
    enquiries.look([])
    assert "minipipe-enquiries" not in pipeline_threads()
    with connect(tmp_path) as client:
        enquiries.look(enquiries.filenos())
        assert enquiries.filenos() == []
        assert read(client) == LARGE
    with connect(tmp_path) as client:  # nobody needs to look any more
        assert read(client) == LARGE


def test_who_never_reads_is_hung_up_on_and_others_are_served(
    enquiries: Enquiries, tmp_path: Path
) -> None:
    silent = [connect(tmp_path) for _ in range(3)]
    enquiries.look(enquiries.filenos())
    with connect(tmp_path) as client:
        assert read(client) == LARGE
    for client in silent:
        with client:  # what had found room is still there, and then nothing
            wait_until(partial(is_hung_up, client), "the run to hang up")
            assert 0 < len(read(client)) < len(LARGE)


def is_hung_up(client: socket.socket) -> bool:
    try:
        client.send(b"?")
    except OSError:
        return True
    return False


def test_of_too_many_the_oldest_are_hung_up_on(enquiries: Enquiries, tmp_path: Path) -> None:
    first = connect(tmp_path)
    enquiries.look(enquiries.filenos())
    many = [connect(tmp_path) for _ in range(2 * CLIENTS)]
    with first:
        assert len(read(first)) < len(LARGE)
    assert read(many[-1]) == LARGE
    for client in many:
        client.close()


def test_an_answer_that_cannot_be_made_ends_the_answers_alone(
    enquiries: Enquiries, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> bytes:
        raise ZeroDivisionError("no counters")

    enquiries.answer = broken
    with connect(tmp_path) as client:
        enquiries.look(enquiries.filenos())
        wait_until(lambda: "no counters" in caplog.text, "the log to say so")
        wait_until(lambda: "minipipe-enquiries" not in pipeline_threads(), "the thread to end")
        assert enquiries.filenos() == []  # it would be readable for ever
        assert read(client) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(tmp_path)


def test_a_process_without_threads_to_spare_goes_on_without(
    enquiries: Enquiries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    with connect(tmp_path):
        enquiries.look(enquiries.filenos())
    assert enquiries.filenos() == []
    with pytest.raises(ConnectionRefusedError):
        connect(tmp_path)


def test_where_no_socket_can_be_the_run_goes_on_without(tmp_path: Path) -> None:
    made = Enquiries()
    assert made.open(str(tmp_path / "absent")) == []
    assert made.filenos() == []
    made.look([])
    made.end()
