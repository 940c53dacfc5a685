"""A program that is not MiniPipe: pyzmq, msgpack and msgpack-numpy, as a user of those has it.

    python program.py '{"does": "send", "pattern": "push", "address": ..., "bind": false, ...}'

It prints a line of JSON for each thing that it has done.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import time
from typing import Any

import msgpack
import msgpack_numpy
import numpy as np
import zmq

KINDS = {"push": zmq.PUSH, "pull": zmq.PULL, "pub": zmq.PUB, "sub": zmq.SUB}


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def open_socket(context: zmq.Context[Any], plan: dict[str, Any]) -> zmq.Socket[Any]:
    socket = context.socket(KINDS[plan["pattern"]])
    socket.linger = plan.get("linger_ms", -1)
    for option, value in plan.get("options", {}).items():
        wanted = getattr(zmq, option)
        socket.setsockopt(wanted, value.encode() if isinstance(value, str) else value)
    if plan["pattern"] == "sub":
        socket.setsockopt(zmq.SUBSCRIBE, plan.get("topic", "").encode())
    (socket.bind if plan.get("bind") else socket.connect)(plan["address"])
    return socket


def messages(plan: dict[str, Any]) -> Any:
    for number in range(plan.get("count", 0)):
        array = np.full(plan.get("length", 3), number + plan.get("first", 0), np.float32)
        item = {
            "number": number + plan.get("first", 0),
            "array": array,
            "text": "ü",
            "pair": [1, 2.5],
        }
        yield [msgpack.packb(item, default=msgpack_numpy.encode)]
    for encoded in plan.get("raw", ()):  # lists of frames
        yield [base64.b64decode(frame) for frame in encoded]
    if "junk_bytes" in plan:
        yield [b"x" * plan["junk_bytes"]]
    if "end" in plan:
        yield [msgpack.packb(plan["end"])]


def send(socket: zmq.Socket[Any], plan: dict[str, Any]) -> None:
    topic = [plan["topic"].encode()] if "topic" in plan else []
    sent = 0
    until_s = time.monotonic() + plan.get("again_for_s", 0)
    while True:
        for frames in messages(plan):
            socket.send_multipart([*topic, *frames])
            sent += 1
            if plan.get("tells_each"):
                say(sent=sent)
            time.sleep(plan.get("pause_s", 0))
        if time.monotonic() >= until_s:
            break
    say(done=sent)


def receive(socket: zmq.Socket[Any], plan: dict[str, Any]) -> None:
    total, numbers, digest = 0, [], hashlib.blake2b()
    while total != plan.get("count", -1):
        frames = socket.recv_multipart()
        item = msgpack.unpackb(frames[-1], object_hook=msgpack_numpy.decode)
        if item == plan.get("end", "the end") and not isinstance(item, np.ndarray):
            break
        total += 1
        number = item["number"] if isinstance(item, dict) else item
        numbers.append(int(number))
        if isinstance(item, dict):
            digest.update(np.ascontiguousarray(item["array"]).tobytes())
        if plan.get("tells_each"):
            say(got=int(number))
        time.sleep(plan.get("pause_s", 0))
    say(done=total, numbers=numbers, digest=digest.hexdigest())


def main() -> None:
    plan = json.loads(sys.argv[1])
    context: zmq.Context[Any] = zmq.Context()
    socket = open_socket(context, plan)
    say(open=True)
    {"send": send, "receive": receive}[plan["does"]](socket, plan)
    if plan.get("stays"):
        sys.stdin.read()
    socket.close()
    context.term()


if __name__ == "__main__":
    assert "minipipe" not in sys.modules
    main()
