"""What is wished of agents on nodes of Ray, checked; no Ray is needed for that."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from minipipe.errors import LifecycleError, OptionError
from minipipe.pipeline.runnable import Runnable
from minipipe.protocol.hosts.names import ANY, LOCAL, is_name
from minipipe.protocol.hosts.offer import MAX_SLOTS
from minipipe.protocol.hosts.token import parse_token
from minipipe.segments.options import check_choice, check_seconds

WHERE = "minipipe.ray.agents"
STRATEGIES = ("SPREAD", "PACK", "STRICT_SPREAD", "STRICT_PACK")
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Wish:
    """The options of `minipipe.ray.agents`."""

    n: int
    num_cpus: int
    num_gpus: int
    tags: tuple[str, ...]
    strategy: str
    max_restarts: int
    timeout_s: float | None
    runtime_env: dict[str, Any] | None

    @property
    def bundle(self) -> dict[str, float]:
        """What each of them takes of a node."""
        gpus = {"GPU": float(self.num_gpus)} if self.num_gpus else {}
        return {"CPU": float(self.num_cpus), **gpus}

    @property
    def arguments(self) -> list[str]:
        """What stands behind `minipipe agent`.

        The GPUs are those that Ray shows to the actor.
        """
        tags = ["--tags", ",".join(self.tags)] if self.tags else []
        return ["--slots", str(self.num_cpus), "--gpus", str(self.num_gpus), *tags]


OPTIONS = ("n", *(one.name for one in fields(Wish) if one.name != "n"))


def check_wish(**given: Any) -> Wish:
    """The options, checked.

    Raises:
        OptionError: one has a value that it cannot have.
    """
    return Wish(
        _whole(given, "n", 1, 10_000),
        _whole(given, "num_cpus", 1, MAX_SLOTS),
        _whole(given, "num_gpus", 0, MAX_SLOTS),
        _tags(given["tags"]),
        check_choice(given["strategy"], "strategy", WHERE, STRATEGIES),
        _whole(given, "max_restarts", 0, 1_000_000),
        check_seconds(given["timeout_s"], "timeout_s", WHERE),
        _runtime_env(given["runtime_env"]),
    )


def _whole(given: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = given[name]
    if isinstance(value, float) and value.is_integer():  # as Ray's own options are written
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise OptionError(
            f"{name} of {WHERE} is a whole number from {least} to {most}, got {given[name]!r}"
        )
    return value


def _tags(tags: Any) -> tuple[str, ...]:
    if isinstance(tags, str) or not isinstance(tags, Sequence):
        raise OptionError(f"tags of {WHERE} is a list of names, got {tags!r}")
    for tag in tags:
        if not isinstance(tag, str) or not is_name(tag) or tag in (LOCAL, ANY):
            raise OptionError(
                f"a tag is made of letters, digits, '.', '-' and '_', and not 'local' or 'any', "
                f"got {tag!r} in tags of {WHERE}"
            )
    return tuple(dict.fromkeys(tags))


def _runtime_env(given: Any) -> dict[str, Any] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise OptionError(f"runtime_env of {WHERE} is a dict, as Ray takes it, got {given!r}")
    return dict(given)


def token_of(pline: Any) -> str:
    """The token of its run.

    Raises:
        OptionError: it is no pipeline, or nobody can join its run.
        LifecycleError: it does not run.
    """
    if not isinstance(pline, Runnable):
        raise OptionError(f"{WHERE} takes a PipeLine or a PipeSystem, got a {type(pline).__name__}")
    # Raises LifecycleError, if there was no run.
    if pline.stats().state == "ended":
        raise LifecycleError(f"{WHERE} of a pipeline whose run has ended: call run(bind=...) first")
    if (token := pline.token) is None:
        raise OptionError(
            f"{WHERE} of a pipeline that no other machine can join: "
            "run(bind='tcp://0.0.0.0:7711') lets them"
        )
    return token


def check_reachable(token: str, own: str, nodes: Sequence[str]) -> None:
    """Whether nodes of Ray can reach the run.

    Args:
        own: the address by which Ray knows this machine.
        nodes: the addresses of the nodes that agents are on.

    Raises:
        OptionError: it is bound to loopback, and they are other machines.
    """
    elsewhere = sorted({node for node in nodes if node != own})
    if elsewhere and all(_is_loopback(one.host) for one in parse_token(token).endpoints):
        raise OptionError(
            f"bind= of the run is on loopback, and Ray has placed agents on {', '.join(elsewhere)},"
            " which cannot come there: run(bind='tcp://0.0.0.0:7711')"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
