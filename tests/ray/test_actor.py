"""The process of an agent, as its actor has it; an actor is an ordinary object here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import minipipe as mp
from minipipe.ray.actor import AgentActor
from tests.conftest import DEADLOCK_S, wait_until

ARGUMENTS = ["--slots", "1", "--gpus", "0", "--tags", "away"]


def slowly(item: int) -> int:
    time.sleep(0.02)
    return item


def away(count: int) -> mp.PipeLine:
    pline = mp.PipeLine([mp.Source(range(count)), mp.Transform(slowly, on="away")])
    return pline.run(bind="tcp://127.0.0.1:0", ship=False)


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_agent_that_is_killed_is_replaced_and_ends_with_the_run() -> None:
    pline = away(100)
    assert pline.token is not None
    actor = AgentActor(pline.token, ARGUMENTS, 1)
    with ThreadPoolExecutor(1) as pool:
        waiting, first = pool.submit(actor.wait), actor.pid()
        found: list[int] = []
        for item in pline:
            found.append(item)
            if item == 10:
                os.kill(first, signal.SIGKILL)
        assert sorted(found) == list(range(100))
        result = waiting.result(DEADLOCK_S)
    assert result.code == 0 and "has left run" in result.said
    assert actor.pid() != first


def test_an_agent_that_is_told_to_stop_has_no_successor() -> None:
    pline = mp.PipeLine([mp.Source(range(100)), mp.Transform(slowly, on={"local": 1, "away": 1})])
    pline.run(bind="tcp://127.0.0.1:0", ship=False)
    assert pline.token is not None
    actor = AgentActor(pline.token, ARGUMENTS, 5)
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(actor.wait)
        wait_until(lambda: any("has joined" in line for line in actor._said), "it to join")
        # (Its worker can go when what it has made is taken: by a loop that goes on meanwhile.)
        stopping = pool.submit(actor.stop)
        assert sorted(pline) == list(range(100))
        stopping.result(DEADLOCK_S)
        assert waiting.result(DEADLOCK_S).code == 0
    assert not is_there(actor.pid())


def test_an_agent_that_cannot_join_says_why() -> None:
    actor = AgentActor("MINIPIPE1-AAAA", ARGUMENTS, 5)
    result = actor.wait()
    assert result.code == 2 and "minipipe agent: the token from MINIPIPE_TOKEN" in result.said


def test_an_agent_ends_with_its_actor() -> None:
    pline = away(10_000)
    assert pline.token is not None
    program = (
        "import sys\nfrom minipipe.ray.actor import AgentActor\n"
        f"actor = AgentActor(sys.argv[1], {ARGUMENTS!r}, 0)\nprint(actor.pid(), flush=True)\n"
        "actor.wait()"
    )
    command = [sys.executable, "-c", program, pline.token]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as actor:
        assert actor.stdout is not None
        agent = int(actor.stdout.readline())
        assert next(iter(pline)) == 0
        actor.kill()
    wait_until(lambda: not is_there(agent), "the agent to end")
    pline.stop()
    pline.close()
