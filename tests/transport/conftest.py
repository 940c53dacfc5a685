"""What the contract suites share: places for transports, and ways to receive."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator

import pytest

from minipipe.transport import Inbox, Outlet, Publisher, open_transport
from tests.conftest import DEADLOCK_S, wait_until

MEGABYTE = 1024 * 1024
Bytes = list[bytes]


class Worker:
    """A transport with all that it has made: pyzmq warns of sockets that nobody refers to."""

    def __init__(self, base: str, advertise: str | None = None) -> None:
        self.transport = open_transport(base, advertise)
        self.made: list[Inbox | Outlet | Publisher] = []

    def bind(self, name: str) -> Inbox:
        inbox = self.transport.bind(name)
        self.made.append(inbox)
        return inbox

    def connect(self, address: str) -> Outlet:
        outlet = self.transport.connect(address)
        self.made.append(outlet)
        return outlet

    def publish(self, name: str) -> Publisher:
        publisher = self.transport.publish(name)
        self.made.append(publisher)
        return publisher

    def close(self, linger_s: float = 0.0) -> None:
        self.transport.close(linger_s)


class Place:
    """A base address, and the transports that were opened there."""

    def __init__(self, scheme: str, directory: str) -> None:
        self.directory = directory
        bases = {"inproc": f"inproc://{uuid.uuid4().hex}", "ipc": f"ipc://{directory}"}
        self.base = bases.get(scheme, "tcp://127.0.0.1")
        self.workers: list[Worker] = []

    def open(self, base: str | None = None, *, advertise: str | None = None) -> Worker:
        """One more transport, as another worker would have it."""
        self.workers.append(Worker(base or self.base, advertise))
        return self.workers[-1]

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


@pytest.fixture(scope="module", autouse=True)
def zero_copy_is_warm() -> None:
    """At the first large frame, pyzmq starts a thread and opens descriptors, for good."""
    worker = Worker("tcp://127.0.0.1")
    inbox = worker.bind("warm")
    worker.connect(inbox.address).send([bytes(MEGABYTE)])
    receive(inbox, 1)
    worker.close()


@pytest.fixture
def directory() -> Iterator[str]:
    """A new directory with a path short enough for sockets."""
    made = tempfile.mkdtemp(prefix="mpt", dir="/tmp")
    yield made
    shutil.rmtree(made)


@pytest.fixture(params=["inproc", "ipc", "tcp"])
def place(request: pytest.FixtureRequest, directory: str) -> Iterator[Place]:
    made = Place(request.param, directory)
    yield made
    made.close()


by_name = pytest.mark.parametrize("place", ["inproc", "ipc"], indirect=True)
on_zeromq = pytest.mark.parametrize("place", ["ipc", "tcp"], indirect=True)
on_ipc = pytest.mark.parametrize("place", ["ipc"], indirect=True)
on_tcp = pytest.mark.parametrize("place", ["tcp"], indirect=True)


def receive(inbox: Inbox, messages: int, within_s: float = DEADLOCK_S) -> list[Bytes]:
    """That many messages; that they never come is a deadlock."""
    got: list[Bytes] = []

    def enough() -> bool:
        while len(got) < messages and (message := inbox.receive()) is not None:
            got.append([bytes(frame) for frame in message])
        if len(got) < messages:
            inbox.wait(0.1)
        return len(got) >= messages

    wait_until(enough, f"{messages} messages at {inbox.address}", within_s)
    return got


def nothing_more(inbox: Inbox) -> bool:
    inbox.wait(0.02)
    return inbox.receive() is None


def numbered(count: int, tag: bytes = b"m") -> list[Bytes]:
    return [[b"%s %d" % (tag, i)] for i in range(count)]


def in_threads(*works: Callable[[], None]) -> None:
    """Runs these side by side to their end; the first error of any is raised."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(w,), daemon=True) for w in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLOCK_S)
        assert errors or not thread.is_alive(), "a thread waits for ever"
    if errors:
        raise errors[0]


def native_threads() -> int:
    return len(os.listdir("/proc/self/task"))
