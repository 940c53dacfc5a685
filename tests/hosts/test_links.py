"""Links between processes, over TCP: cut, delayed, stalled, frozen, killed."""

from __future__ import annotations

import os
import signal
from typing import Any

from tests.conftest import wait_until
from tests.hosts.conftest import Hosts, cut_up, exchanged, has_noticed, through
from tests.hosts.proxy import Proxy

WATCHFUL: dict[str, Any] = {"lost_after_s": 15.0, "watchful": True}
# What is sent to it does not come to its end.  It has patience: it is to hear that it was given up.
WITHOUT_READING: dict[str, Any] = {"count": 50, "seed": 2, "lazy": True, **WATCHFUL}


def test_cuts_and_delays_lose_nothing_and_repeat_nothing(hosts: Hosts) -> None:
    assert cut_up(hosts, seed=1, counts=(150, 100), cuts=16, delay_s=0.001) >= 16


def test_a_line_that_stalls_is_replaced_and_goes_on(hosts: Hosts) -> None:
    run = hosts.start("listen", count=100, seed=1, **WATCHFUL)
    said = run.until("token")
    proxy = Proxy(said["port"])
    hosts.stack.callback(proxy.close)
    token = through(proxy, said["token"])
    guest = hosts.start("join", token=token, count=100, seed=2, lazy=True, **WATCHFUL)
    run.until("received")  # and cannot come to its end, as the other one does not read
    proxy.stalls = True
    wait_until(lambda: has_noticed(run), "the listening end to notice")
    wait_until(lambda: has_noticed(guest), "the other end to notice")
    proxy.stalls = False
    guest.tell("take")
    assert exchanged(run, guest, (100, 100), (1, 2)) > 1


def test_who_is_frozen_too_long_is_lost_and_hears_so_when_it_wakes(hosts: Hosts) -> None:
    run = hosts.start("listen", count=2000, seed=1, lost_after_s=2.0)
    guest = hosts.start("join", token=run.until("token")["token"], **WITHOUT_READING)
    run.until("received")
    os.kill(guest.process.pid, signal.SIGSTOP)
    try:
        run.until("event", "Hold")
        assert "it was silent" in run.until("event", "Lost")["why"]
    finally:
        os.kill(guest.process.pid, signal.SIGCONT)
    assert "it has given up: it was silent" in guest.until("event", "Lost")["why"]


def test_who_is_killed_is_lost(hosts: Hosts) -> None:
    run = hosts.start("listen", count=2000, seed=1, lost_after_s=2.0)
    guest = hosts.start("join", token=run.until("token")["token"], **WITHOUT_READING)
    run.until("received")
    guest.process.kill()
    assert "it was silent" in run.until("event", "Lost")["why"]


def test_who_never_reads_holds_no_more_than_the_window(hosts: Hosts) -> None:
    run = hosts.start("listen", count=300, seed=1, window_bytes=1 << 18)
    guest = hosts.start("join", token=run.until("token")["token"], lazy=True, count=50, seed=2)
    assert run.until("received")["received"] == 1
    # It is heard all the time: its own messages come, and it says that it is there.
    guest.until("sent")
    guest.tell("take")
    exchanged(run, guest, (300, 50), (1, 2))


def test_a_frame_that_there_is_no_memory_for_ends_the_link_and_nothing_else(hosts: Hosts) -> None:
    run = hosts.start("listen", count=100, seed=1)
    guest = hosts.start("join", token=run.until("token")["token"], most_bytes=10_000)
    for peer, says in ((guest, "there is no memory"), (run, "it has given up: there is no memory")):
        assert says in peer.until("event", "Lost")["why"]
        assert peer.process.poll() is None
