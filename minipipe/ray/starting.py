"""Agents get room on nodes of Ray, and are started there."""

from __future__ import annotations

import logging
import time
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.placement_group import (
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from minipipe.errors import LifecycleError, StartError
from minipipe.process.describe import in_a_line
from minipipe.ray.actor import AgentActor
from minipipe.ray.handle import Agents
from minipipe.ray.room import no_room
from minipipe.ray.wish import WHERE, Wish, check_reachable

logger = logging.getLogger("minipipe")

FIRST_S = 5.0  # of waiting for room, before that is said
THEN_S = 30.0


def start(token: str, wish: Wish) -> Agents:
    """Starts them; as `minipipe.ray.agents`."""
    if not ray.is_initialized():
        # It would start a cluster of its own on this machine, which nobody has asked for.
        raise LifecycleError(
            f"{WHERE} before Ray was initialised: ray.init('auto') connects to a cluster"
        )
    group = placement_group([wish.bundle] * wish.n, strategy=wish.strategy, name="minipipe")
    actors: list[Any] = []
    try:
        _wait_for_room(group, wish)
        check_reachable(token, ray.util.get_node_ip_address(), _nodes_of(group))
        actors += [_actor(token, wish, group, index) for index in range(wish.n)]
        _wait_for_actors(actors, wish)
        return Agents(actors, group)
    except BaseException:
        for actor in actors:
            ray.kill(actor)
        remove_placement_group(group)
        raise


def _wait_for_room(group: PlacementGroup, wish: Wish) -> None:
    began_s, next_s = time.monotonic(), FIRST_S
    while True:
        left_s = next_s if wish.timeout_s is None else min(next_s, wish.timeout_s)
        if group.wait(max(0.1, began_s + left_s - time.monotonic())):
            return
        after_s = time.monotonic() - began_s
        text = no_room(wish, ray.nodes(), ray.available_resources(), after_s)
        if wish.timeout_s is not None and after_s >= wish.timeout_s:
            raise StartError(f"{text}. timeout_s= of {WHERE} says how long it is waited for")
        logger.warning("%s. Waiting", text)
        next_s += THEN_S


def _nodes_of(group: PlacementGroup) -> list[str]:
    """The addresses of the nodes that its bundles are on."""
    address_of = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes()}
    placed = placement_group_table(group).get("bundles_to_node_id", {})
    return [address_of[node] for node in placed.values() if node in address_of]


def _actor(token: str, wish: Wish, group: PlacementGroup, index: int) -> Any:
    options = {} if wish.runtime_env is None else {"runtime_env": wish.runtime_env}
    actor = ray.remote(AgentActor).options(
        name=None,
        num_cpus=wish.num_cpus,
        num_gpus=wish.num_gpus,
        max_restarts=wish.max_restarts,
        max_task_retries=-1,  # one that was started anew is waited for like the first one
        max_concurrency=4,  # it is stopped while it is waited for
        scheduling_strategy=PlacementGroupSchedulingStrategy(
            placement_group=group, placement_group_bundle_index=index
        ),
        **options,
    )
    return actor.remote(token, wish.arguments, wish.max_restarts)


def _wait_for_actors(actors: list[Any], wish: Wish) -> None:
    try:
        ray.get([actor.pid.remote() for actor in actors], timeout=wish.timeout_s)
    except GetTimeoutError:
        raise StartError(
            f"Ray has not started all {wish.n} actors within {wish.timeout_s:g} s (timeout_s)"
        ) from None
    except RayError as error:
        raise StartError(
            f"Ray could not start an agent (MiniPipe has to be installed on its nodes, or be in "
            f"runtime_env): {in_a_line(error)}"
        ) from error
