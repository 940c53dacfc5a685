"""ZmqSink in processes, read by programs in which there is no MiniPipe."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.errors import ItemTypeError, MiniPipeError, OptionError
from tests.conftest import wait_until
from tests.process.functors import endless
from tests.programs.conftest import Start, free_port
from tests.programs.crafted import Paused, with_array


@pytest.mark.parametrize("bind", [True, False])
def test_a_program_that_pulls_gets_all_also_the_last_ones(
    start: Start, address: str, bind: bool
) -> None:
    # Slow, with a small mark: what the kernel has when the Sink is done would be lost to it.
    options = {"RCVHWM": 4}
    program = start(
        "receive", "pull", address, bind=not bind, end=None, pause_s=0.001, options=options
    )
    pline = mp.PipeLine([mp.Source(range(500)), mp.Transform(with_array)])
    pline.add(mp.ZmqSink(address, bind=bind, end=None, linger_s=60.0))
    pline.run().close()
    done = program.until("done")
    assert done["numbers"] == list(range(500))
    digest = hashlib.blake2b()
    for number in range(500):
        digest.update(with_array(number)["array"].tobytes())
    assert done["digest"] == digest.hexdigest()
    if bind and address.startswith("ipc"):
        assert not os.path.exists(address.removeprefix("ipc://"))


def test_several_workers_connect(start: Start, address: str) -> None:
    program = start("receive", "pull", address, bind=True, count=300)
    pline = mp.PipeLine([mp.Source(range(300)), mp.ZmqSink(address, n_processes=3)])
    pline.run().close()
    assert sorted(program.until("done")["numbers"]) == list(range(300))


def test_inline_it_is_the_same(start: Start, address: str) -> None:
    program = start("receive", "pull", address, end=None)
    pline = mp.PipeLine([mp.Source(range(50)), mp.ZmqSink(address, bind=True, end=None)])
    pline.build(inline=True).run().close()
    assert program.until("done")["numbers"] == list(range(50))


def test_a_subscriber_gets_what_is_published_once_it_is_there(start: Start, address: str) -> None:
    program = start("receive", "sub", address, topic="a", count=20)
    sink = mp.ZmqSink(address, "out", pattern="pub", bind=True, topic="a")
    pline = mp.PipeLine([mp.Source(endless), sink]).run()
    numbers = program.until("done")["numbers"]
    pline.stop()
    pline.close()
    assert numbers == list(range(numbers[0], numbers[0] + 20))


def test_a_pipeline_feeds_another_one(address: str) -> None:
    sink = mp.ZmqSink(address, bind=True, codec="minipipe", end="END")
    first = mp.PipeLine([mp.Source([(1, 2), (3, np.arange(4))]), sink]).run()
    source = mp.ZmqSource(address, codec="minipipe", ends=mp.Ends(item="END"))
    one, (three, four) = list(mp.PipeLine([source]))
    first.close()
    assert one == (1, 2) and three == 3 and four.tolist() == [0, 1, 2, 3]


def test_a_killed_worker_is_replaced_and_goes_on(start: Start, place: Path, address: str) -> None:
    program = start("receive", "pull", address, end=None, tells_each=True)
    source = mp.Source(Paused(place / "open", 100, 500))
    pline = mp.PipeLine([source, mp.ZmqSink(address, "out", bind=True, end=None)]).run()
    for _ in range(20):
        program.next()
    os.kill(pline.stats()["out"].pid, signal.SIGKILL)
    (place / "open").touch()
    pline.close()
    # Of the first ones those are lost that it had handed over to ZeroMQ: that is not promised.
    numbers = program.until("done")["numbers"]
    assert set(numbers) >= {*range(20), *range(100, 600)}


def test_it_waits_for_its_first_peer(start: Start, address: str) -> None:
    pline = mp.PipeLine([mp.Source(range(100)), mp.ZmqSink(address, "out", bind=True, end=None)])
    pline.run()
    wait_until(lambda: pline.stats()["out"].state == "running", "the Sink to begin")
    program = start("receive", "pull", address, end=None)
    pline.close()
    assert program.until("done")["numbers"] == list(range(100))


def test_a_stop_ends_it_while_it_waits_for_a_peer(address: str) -> None:
    pline = mp.PipeLine([mp.Source(range(100)), mp.ZmqSink(address, "out", bind=True)]).run()
    wait_until(lambda: pline.stats()["out"].state == "running", "the Sink to begin")
    pline.stop()
    pline.close()
    if address.startswith("ipc"):
        assert not os.path.exists(address.removeprefix("ipc://"))


def test_what_has_no_message_fails_like_any_item(
    start: Start, address: str, tmp_path: Path
) -> None:
    program = start("receive", "pull", address, end=None)
    items: list[Any] = [1, {1, 2}, "x" * 2000, 2]
    sink = mp.ZmqSink(
        address,
        bind=True,
        end=None,
        max_bytes=1000,
        ignore_exceptions=ItemTypeError,
        dead_letter=tmp_path / "letters",
    )
    mp.PipeLine([mp.Source(items), sink]).run().close()
    assert program.until("done")["numbers"] == [1, 2]
    letters = list(mp.DeadLetters(tmp_path / "letters").records())
    assert [letter.item for letter in letters] == [{1, 2}, "x" * 2000]
    assert "max_bytes=1000" in letters[1].text


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"address": "tcp://*:5555", "bind": True}, "security='none'"),
        ({"address": "tcp://*:5555"}, "bind=True"),
        ({"pattern": "pull"}, "'push' or 'pub'"),
        ({"codec": "pickle"}, "codec of ZmqSink"),
        ({"topic": "a"}, "pattern='pub' only"),
        ({"topic": 3, "pattern": "pub"}, "topic of ZmqSink"),
        ({"linger_s": -1}, "linger_s"),
        ({"end": {1, 2}}, "end of ZmqSink 'ZmqSink' cannot be sent"),
        ({"ends": "END"}, "no option 'ends'; did you mean 'end'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(options: dict[str, Any], why: str) -> None:
    address = options.pop("address", "tcp://127.0.0.1:5555")
    with pytest.raises(OptionError) as caught:
        mp.ZmqSink(address, **options)
    assert why in str(caught.value)


def test_one_process_alone_can_be_bound() -> None:
    sink = mp.ZmqSink(f"tcp://127.0.0.1:{free_port()}", bind=True, n_processes=2)
    with pytest.raises(MiniPipeError, match="n_processes=2 makes no sense for ZmqSink"):
        mp.PipeLine([mp.Source(range(3)), sink]).build()


def test_it_may_stay_longer_than_libzmq_can_be_told(address: str) -> None:
    pline = mp.PipeLine([mp.Source([]), mp.ZmqSink(address, bind=True, linger_s=1e12)])
    pline.run().close()
