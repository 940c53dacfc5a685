"""Raw pyzmq, the limit over sockets: PUSH/PULL over ipc, the same two hops, no header."""

from __future__ import annotations

import multiprocessing
import tempfile

import numpy as np
import zmq
from work import Tally, arguments, arrays, same

# Its own limit counts messages: 1000 of 38.5 MB do not fit anywhere.
IN_FLIGHT_BYTES = 64_000_000
COPY_BELOW_BYTES = 65_536  # pyzmq's own threshold; below it, a frame costs more than its copy


def open_socket(context, kind, address: str, size_bytes: int):
    socket = context.socket(kind)
    socket.set_hwm(min(max(IN_FLIGHT_BYTES // size_bytes, 2), 1000))
    (socket.bind if kind == zmq.PULL else socket.connect)(address)
    return socket


def leave(context, arrived) -> None:
    """Waits for the end: what lies in the kernel's buffer is lost when a peer at its limit closes,
    whatever the linger."""
    arrived.wait()
    context.destroy(linger=0)


def load(address: str, size_bytes: int, items: int, arrived) -> None:
    context = zmq.Context()
    target = open_socket(context, zmq.PUSH, address, size_bytes)
    copy = size_bytes < COPY_BELOW_BYTES
    for item in arrays(size_bytes, items):
        target.send(item, copy=copy)
    leave(context, arrived)


def relay(take: str, put: str, size_bytes: int, items: int, arrived) -> None:
    context = zmq.Context()
    source = open_socket(context, zmq.PULL, take, size_bytes)
    target = open_socket(context, zmq.PUSH, put, size_bytes)
    copy = size_bytes < COPY_BELOW_BYTES
    for _ in range(items):
        target.send(same(source.recv(copy=copy)), copy=copy)
    leave(context, arrived)


def main(size_bytes: int, items: int) -> None:
    fork = multiprocessing.get_context("fork")
    arrived = fork.Event()
    tally = Tally(size_bytes, items, f"pyzmq {zmq.pyzmq_version()}, libzmq {zmq.zmq_version()}")
    with tempfile.TemporaryDirectory(dir="/tmp") as place:  # an ipc path has 107 bytes at most
        first, second = f"ipc://{place}/a", f"ipc://{place}/b"
        others = [
            fork.Process(target=load, args=(first, size_bytes, items, arrived)),
            fork.Process(target=relay, args=(first, second, size_bytes, items, arrived)),
        ]
        for process in others:
            process.start()
        context = zmq.Context()
        source = open_socket(context, zmq.PULL, second, size_bytes)
        copy = size_bytes < COPY_BELOW_BYTES
        for _ in range(items):
            message = source.recv(copy=copy)
            tally.run(np.frombuffer(message if copy else message.buffer, np.uint8))
        arrived.set()
        tally.local_term()
        for process in others:
            process.join()
        context.destroy(linger=0)


if __name__ == "__main__":
    main(*arguments())
