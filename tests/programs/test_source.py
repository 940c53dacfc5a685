"""ZmqSource in processes, fed by programs in which there is no MiniPipe."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.errors import MiniPipeError, OptionError, TransportError, WorkerDiedError
from tests.conftest import wait_until
from tests.process.functors import Collect
from tests.programs.conftest import Start, free_port
from tests.programs.crafted import Gate

END = mp.Ends(item="END")


def numbers(items: list[Any]) -> list[int]:
    return [item["number"] for item in items]


def digest(items: list[Any]) -> str:
    joined = hashlib.blake2b()
    for item in items:
        joined.update(item["array"].tobytes())
    return joined.hexdigest()


@pytest.mark.parametrize("bind", [True, False])
def test_what_a_program_pushes_comes_whole_and_in_order(
    start: Start, address: str, bind: bool
) -> None:
    start("send", "push", address, bind=not bind, count=300, length=2000, end="END")
    source = mp.ZmqSource(address, bind=bind, ends=END)
    items = list(mp.PipeLine([source]))
    assert numbers(items) == list(range(300))
    assert {item["text"] for item in items} == {"ü"} and items[0]["pair"] == [1, 2.5]
    assert all(item["array"].dtype == np.float32 for item in items)
    assert [float(item["array"][-1]) for item in items] == list(range(300))


def test_inline_it_is_the_same(start: Start, address: str) -> None:
    start("send", "push", address, count=50, end="END")
    pline = mp.PipeLine([mp.ZmqSource(address, bind=True, ends=END)]).build(inline=True)
    assert numbers(list(pline)) == list(range(50))


def test_a_count_ends_it(start: Start, address: str) -> None:
    start("send", "push", address, count=100)
    items = list(mp.PipeLine([mp.ZmqSource(address, bind=True, ends=mp.Ends(count=40))]))
    assert numbers(items) == list(range(40))


def test_silence_ends_it_also_at_the_start(address: str) -> None:
    assert list(mp.PipeLine([mp.ZmqSource(address, bind=True, ends=mp.Ends(idle_s=0.2))])) == []


def test_several_workers_share_what_is_pushed(start: Start, address: str) -> None:
    start("send", "push", address, bind=True, count=300)
    source = mp.ZmqSource(address, n_processes=3, ends=mp.Ends(idle_s=6.0))
    assert sorted(numbers(list(mp.PipeLine([source])))) == list(range(300))


def test_a_subscriber_gets_its_topics_alone(start: Start, address: str) -> None:
    start("send", "pub", address, bind=True, count=20, topic="a", again_for_s=60, pause_s=0.002)
    other = f"{address[:-1]}" if address.startswith("ipc") else f"tcp://127.0.0.1:{free_port()}"
    start("send", "pub", other, bind=True, count=20, topic="b", again_for_s=60, pause_s=0.002)
    ends = mp.Ends(count=30)
    wanted = mp.ZmqSource(address, pattern="sub", topics="a", ends=ends)
    assert len(list(mp.PipeLine([wanted]))) == 30
    unwanted = mp.ZmqSource(other, pattern="sub", topics=["a"], ends=mp.Ends(idle_s=1.0))
    assert list(mp.PipeLine([unwanted])) == []


def test_without_topics_a_subscriber_takes_one_frame(start: Start, address: str) -> None:
    start("send", "pub", address, bind=True, count=20, again_for_s=60, pause_s=0.002)
    source = mp.ZmqSource(address, pattern="sub", ends=mp.Ends(count=30))
    assert len(list(mp.PipeLine([source]))) == 30


def test_senders_wait_while_the_pipeline_has_no_room(
    start: Start, place: Path, address: str
) -> None:
    program = start(
        *("send", "push", address),
        count=400,
        length=100_000,
        end="END",
        tells_each=True,
        stays=True,
        options={"SNDHWM": 2},
    )
    sink = mp.Sink(Gate(place / "open"), "gate", buffer_size=2)
    pline = mp.PipeLine([mp.ZmqSource(address, bind=True, ends=END, hwm=2), sink]).run()
    program.until("open")
    said: list[int] = []

    def read() -> None:
        while "sent" in (line := program.next()):
            said.append(line["sent"])

    reader = threading.Thread(target=read)
    reader.start()
    wait_until(lambda: said and pline.stats(), "the first message")
    since = [len(said), time.monotonic()]
    while time.monotonic() - since[1] < 3.0:  # until nothing moves any more
        if len(said) != since[0]:
            since = [len(said), time.monotonic()]
        time.sleep(0.05)
    waiting = len(said)
    (place / "open").touch()
    assert pline.close() == {"gate": 400}
    reader.join()
    # 400 kB each: two on either side, two in the gate, and what the kernel takes of tcp.
    assert waiting < 100


def run_silent(address: str, **options: Any) -> mp.PipeLine:
    pline = mp.PipeLine([mp.ZmqSource(address, bind=True, **options), mp.Sink(Collect(), "sink")])
    return pline.run()


@pytest.mark.parametrize("drain", [False, True])
def test_a_stop_ends_it_while_nobody_sends(start: Start, address: str, drain: bool) -> None:
    pline = run_silent(address)
    program = start("send", "push", address, count=5, stays=True)
    program.until("done")
    wait_until(lambda: pline.stats()["sink"].items_in == 5, "five items")
    pline.stop(drain=drain)
    assert numbers(pline.close()["sink"]) == list(range(5))
    if address.startswith("ipc"):
        assert not os.path.exists(address.removeprefix("ipc://"))


@pytest.mark.parametrize("drain", [False, True])
def test_inline_a_stop_of_another_thread_ends_it(address: str, drain: bool) -> None:
    pline = mp.PipeLine([mp.ZmqSource(address, bind=True), mp.Sink(Collect(), "sink")])
    pline.build(inline=True).run()
    threading.Timer(0.3, pline.stop, kwargs={"drain": drain}).start()
    pline.close()
    if address.startswith("ipc"):
        assert not os.path.exists(address.removeprefix("ipc://"))


def test_a_killed_worker_ends_the_run_and_the_next_one_takes_its_place(
    start: Start, address: str
) -> None:
    pline = run_silent(address)
    program = start("send", "push", address, count=2000, pause_s=0.002, end="END", stays=True)
    wait_until(lambda: pline.stats()["sink"].items_in > 5, "some items")
    os.kill(pline.stats()["ZmqSource"].pid, signal.SIGKILL)
    with pytest.raises(WorkerDiedError, match="SIGKILL"):
        pline.close()
    if address.startswith("ipc"):
        assert os.path.exists(address.removeprefix("ipc://"))  # nobody could remove it
    items = list(mp.PipeLine([mp.ZmqSource(address, bind=True, ends=END)]))
    assert numbers(items)[-1] == 1999
    assert program.until("done")["done"] == 2001
    if address.startswith("ipc"):
        assert not os.path.exists(address.removeprefix("ipc://"))


def test_an_address_in_use_is_an_error_and_not_taken_away(start: Start, address: str) -> None:
    program = start("receive", "pull", address, bind=True, count=1)
    program.until("open")
    with pytest.raises(TransportError, match="one end binds, the other connects"):
        list(mp.PipeLine([mp.ZmqSource(address, bind=True)]))
    pline = mp.PipeLine([mp.Source([7]), mp.ZmqSink(address)])
    pline.run().close()
    assert program.until("done")["numbers"] == [7]


def test_a_file_in_the_way_is_not_removed(place: Path) -> None:
    (place / "file").write_text("mine")
    with pytest.raises(TransportError, match="in the way"):
        list(mp.PipeLine([mp.ZmqSource(f"ipc://{place}/file", bind=True)]))
    assert (place / "file").read_text() == "mine"


def test_an_address_of_another_machine_cannot_be_bound() -> None:
    with pytest.raises(TransportError, match="no address of this machine"):
        list(mp.PipeLine([mp.ZmqSource("tcp://192.0.2.1:5555", bind=True, security="none")]))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"address": "127.0.0.1:5555"}, "is 'tcp://HOST:PORT' or 'ipc://PATH'"),
        ({"address": "tcp://0.0.0.0:5555", "bind": True}, "security='none'"),
        ({"address": "tcp://host.example:5555"}, "curve="),
        ({"security": "plain"}, "security of ZmqSource 'ZmqSource' is None"),
        ({"curve": "key"}, "mp.CurveServer"),
        ({"pattern": "push"}, "'pull' or 'sub'"),
        ({"pattern": "rep"}, "'pull' or 'sub'"),
        ({"codec": "json"}, "codec of ZmqSource"),
        ({"ends": 5}, "mp.Ends"),
        ({"bind": "yes"}, "True or False"),
        ({"hwm": 0}, "hwm"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"hwm": 2**31}, "is at most 2147483647"),
        ({"max_bytes": 2**62}, "is at most 4611686018427387903"),
        ({"topics": "a"}, "pattern='sub' only"),
        ({"pattern": "sub", "topics": 3}, "topics"),
        ({"pattern": "sub", "topics": [3]}, "topics"),
        ({"pattern": "sub", "topics": []}, "topics"),
        ({"adress": "x"}, "adress"),
        ({"end": "END"}, "no option 'end'; did you mean 'ends'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(options: dict[str, Any], why: str) -> None:
    address = options.pop("address", "tcp://127.0.0.1:5555")
    with pytest.raises(OptionError) as caught:
        mp.ZmqSource(address, **options)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"bind": True}, "one process can be bound"),
        ({"pattern": "sub"}, "every message that is published"),
        ({"ends": END}, "mp.Ends(idle_s=...)"),
        ({"ends": mp.Ends(count=3, idle_s=1)}, "mp.Ends(idle_s=...)"),
    ],
)
def test_where_several_workers_make_no_sense_is_said(options: dict[str, Any], why: str) -> None:
    pline = mp.PipeLine()
    with pytest.raises(MiniPipeError) as caught:
        pline.add(mp.ZmqSource("tcp://127.0.0.1:5555", **options), n_processes=2)
        pline.add(mp.Sink(print)).build()
    assert "n_processes=2 makes no sense for ZmqSource" in str(caught.value)
    assert why in str(caught.value)
