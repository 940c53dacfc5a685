"""What may be wished of agents on Ray, and what is said where there is no room; without Ray."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import minipipe as mp
import minipipe.ray
from minipipe.errors import LifecycleError, MissingExtraError, OptionError
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.ray.actor import is_started_again
from minipipe.ray.room import no_room
from minipipe.ray.wish import Wish, check_reachable, check_wish, token_of
from minipipe.transport.curve import CurveKeys
from minipipe.transport.hosts.invitation import invite

GIVEN: dict[str, Any] = {
    "n": 4,
    "num_cpus": 8.0,
    "num_gpus": 1,
    "tags": ["gpu", "ray", "gpu"],
    "strategy": "SPREAD",
    "max_restarts": 3,
    "timeout_s": 60,
    "runtime_env": None,
}


def wish(**given: Any) -> Wish:
    return check_wish(**{**GIVEN, **given})


def node(address: str, **resources: float) -> dict[str, Any]:
    return {"Alive": True, "NodeManagerAddress": address, "Resources": resources}


def test_an_agent_offers_what_ray_gives_it() -> None:
    assert wish().bundle == {"CPU": 8.0, "GPU": 1.0}
    assert wish().arguments == ["--slots", "8", "--gpus", "1", "--tags", "gpu,ray"]
    plain = wish(num_gpus=0, tags=())
    assert plain.bundle == {"CPU": 8.0}
    assert plain.arguments == ["--slots", "8", "--gpus", "0"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"n": 0}, "n of minipipe.ray.agents is a whole number from 1 to 10000, got 0"),
        ({"num_cpus": 0.5}, "num_cpus of .* is a whole number from 1 .*, got 0.5"),
        ({"num_gpus": -1}, "num_gpus of .* from 0 to .*, got -1"),
        ({"num_gpus": True}, "got True"),
        ({"tags": "gpu"}, "tags of minipipe.ray.agents is a list of names, got 'gpu'"),
        ({"tags": ["local"]}, "not 'local' or 'any', got 'local'"),
        ({"strategy": "spread"}, "strategy of minipipe.ray.agents is 'SPREAD' or"),
        ({"max_restarts": -1}, "max_restarts of .* from 0"),
        ({"timeout_s": 0}, "timeout_s of minipipe.ray.agents is a positive number of seconds"),
        ({"runtime_env": "x"}, "runtime_env of minipipe.ray.agents is a dict, .*, got 'x'"),
    ],
)
def test_what_cannot_be_is_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        wish(**given)


def test_a_name_that_it_does_not_have_is_suggested() -> None:
    with pytest.raises(OptionError, match="has no option 'num_cpu'; did you mean 'num_cpus'"):
        minipipe.ray.agents(mp.PipeLine(), num_cpu=2)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"needs the package ray: pip install '\.\[ray\]'"):
        minipipe.ray.agents(mp.PipeLine())
    with pytest.raises(MissingExtraError):
        _ = minipipe.ray.Agents


def test_a_pipeline_that_nobody_can_join_is_said() -> None:
    with pytest.raises(OptionError, match="takes a PipeLine or a PipeSystem, got a str"):
        token_of("MINIPIPE1-x")
    pline = mp.PipeLine([mp.Source(range(3))])
    with pytest.raises(LifecycleError, match="call run"):
        token_of(pline)
    pline.run()
    with pytest.raises(OptionError, match=r"no other machine can join: run\(bind='tcp://0.0.0.0"):
        token_of(pline)
    assert list(pline) == [0, 1, 2]
    with pytest.raises(LifecycleError, match="whose run has ended"):
        token_of(pline)


@pytest.mark.parametrize(
    ("bound", "nodes", "is_reachable"),
    [
        (["127.0.0.1"], ["10.0.0.1", "10.0.0.1"], True),
        (["127.0.0.1", "::1", "localhost"], ["10.0.0.1", "10.0.0.2"], False),
        (["127.0.0.1", "10.0.0.1"], ["10.0.0.2"], True),
        (["trainer"], ["10.0.0.2"], True),
    ],
)
def test_a_run_on_loopback_is_for_agents_here(
    bound: list[str], nodes: list[str], is_reachable: bool
) -> None:
    token = invite([Endpoint(host, 7711) for host in bound], CurveKeys.new()).text
    if is_reachable:
        check_reachable(token, "10.0.0.1", nodes)
        return
    with pytest.raises(OptionError, match=r"on loopback, and Ray has placed agents on 10.0.0.2,"):
        check_reachable(token, "10.0.0.1", nodes)


@pytest.mark.parametrize(
    ("wished", "nodes", "said"),
    [
        ({}, [node("a", CPU=8.0), node("b", CPU=4.0, GPU=4.0)], "No node has 8 CPUs and 1 GPU"),
        ({}, [node("a", CPU=8.0, GPU=8.0)], "All nodes together have room for 1"),
        ({}, [node("a", CPU=64.0, GPU=8.0)], "Others use what is missing"),
        (
            {"strategy": "STRICT_SPREAD"},
            [node("a", CPU=64.0, GPU=8.0)],
            "STRICT_SPREAD asks for 4 such nodes, and there is 1",
        ),
        (
            {"strategy": "STRICT_PACK"},
            [node("a", CPU=16.0, GPU=8.0), node("b", CPU=16.0, GPU=8.0)],
            "STRICT_PACK asks for one node for all, and the largest has room for 2",
        ),
        ({}, [], "it has no nodes; free are 0 CPUs. No node has 8 CPUs and 1 GPU"),
    ],
)
def test_where_there_is_no_room_it_is_said_what_is_missing(
    wished: dict[str, Any], nodes: list[dict[str, Any]], said: str
) -> None:
    text = no_room(wish(**wished), nodes, {}, 5.2)
    assert text.startswith("Ray has found no room within 5 s for 4 agents of 8 CPUs and 1 GPU each")
    assert text.endswith(said)


def test_it_is_said_what_the_nodes_have_that_are_alive() -> None:
    dead = {**node("c", CPU=1.0), "Alive": False}
    nodes = [node("10.0.0.1", CPU=8.0), node("10.0.0.2", CPU=1.0, GPU=2.0), dead]
    text = no_room(wish(n=1, num_gpus=0), nodes, {"CPU": 3.0, "GPU": 1.0}, 5)
    has = "10.0.0.1 has 8 CPUs; 10.0.0.2 has 1 CPU and 2 GPUs; free are 3 CPUs and 1 GPU."
    assert f"for 1 agent of 8 CPUs (SPREAD): {has}" in text
    assert "and 92 more; free" in no_room(wish(), [node("a", CPU=8.0)] * 100, {}, 5)


@pytest.mark.parametrize(
    ("code", "has_joined", "left", "again"),
    [
        (0, True, 3, False),  # the run is over
        (-9, False, 3, True),
        (-9, True, 0, False),
        (1, True, 1, True),  # the run was lost; or is over, which the next one finds out
        (1, False, 1, False),
        (2, False, 3, False),
    ],
)
def test_an_agent_that_was_killed_has_a_successor(
    code: int, has_joined: bool, left: int, again: bool
) -> None:
    assert is_started_again(code, has_joined=has_joined, left=left) == again
