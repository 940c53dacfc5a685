"""MiniPipe on a cluster of Ray: Ray says on which nodes agents run, MiniPipe moves the data.

    import ray
    import minipipe.ray

    ray.init("auto")
    pline.run(bind="tcp://0.0.0.0:7711")
    with minipipe.ray.agents(pline, n=4, num_cpus=8, num_gpus=1):
        for batch in pline:
            ...

ray is imported when `agents` is called; it is the extra `ray`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minipipe.errors import MissingExtraError, reject_unknown
from minipipe.ray.errors import AgentsError
from minipipe.ray.wish import OPTIONS, TIMEOUT_S, check_wish, token_of

if TYPE_CHECKING:
    from minipipe.pipeline.runnable import Runnable
    from minipipe.ray.handle import Agents

__all__ = ["Agents", "AgentsError", "agents"]


def agents(
    pline: Runnable,
    n: int = 1,
    *,
    num_cpus: int = 1,
    num_gpus: int = 0,
    tags: Sequence[str] = (),
    strategy: str = "SPREAD",
    max_restarts: int = 3,
    timeout_s: float | None = TIMEOUT_S,
    runtime_env: Mapping[str, Any] | None = None,
    **unknown: Any,
) -> Agents:
    """Starts agents on nodes of Ray, which join a run; returns when their processes are there.

    Each is an actor of Ray in a placement group, with a process `minipipe agent`. They end with the
    run, by `stop()`, at the end of a `with` block, or with this program. What the workers of one
    had that is killed is done again by others, and Ray starts it anew.

    Args:
        pline: A pipeline that runs, with `bind=` on an address that the nodes can reach.
        n: How many agents.
        num_cpus: How many CPUs of Ray each has; it takes as many workers at once.
        num_gpus: How many GPUs of Ray each has for its workers.
        tags: What `on=` of segments may ask for.
        strategy: Of the placement group: "SPREAD", "PACK", "STRICT_SPREAD", "STRICT_PACK".
        max_restarts: How often each is started anew.
        timeout_s: So long Ray may take to find room and to start them (a cluster that grows takes
            minutes).  None: as long as it takes.
        runtime_env: Of the actors, as Ray takes it: MiniPipe has to be installed there.

    Raises:
        MissingExtraError: ray is not installed.
        OptionError: An impossible value, or nobody elsewhere could reach the run.
        LifecycleError: The pipeline does not run, or Ray was not initialised.
        StartError: Ray has no room for them, or could not start them.
    """
    reject_unknown(unknown, OPTIONS, "minipipe.ray.agents")
    wish = check_wish(
        n=n,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        tags=tags,
        strategy=strategy,
        max_restarts=max_restarts,
        timeout_s=timeout_s,
        runtime_env=runtime_env,
    )
    _check_ray()
    token = token_of(pline)
    from minipipe.ray.starting import start

    return start(token, wish)


def _check_ray() -> None:
    try:
        importlib.import_module("ray")
    except ImportError as error:
        raise MissingExtraError("ray", "minipipe.ray.agents", "ray") from error


def __getattr__(name: str) -> Any:
    if name != "Agents":
        raise AttributeError(f"module 'minipipe.ray' has no attribute {name!r}")
    _check_ray()
    value = importlib.import_module("minipipe.ray.handle").Agents
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
