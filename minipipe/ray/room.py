"""What is said where Ray has no room for agents; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from minipipe.ray.wish import Wish

_SHOWN = 8


def no_room(
    wish: Wish, nodes: Sequence[Mapping[str, Any]], free: Mapping[str, float], after_s: float
) -> str:
    """What was asked for, and what there is.

    Args:
        nodes: as `ray.nodes` has them.
        free: as `ray.available_resources` has it.
    """
    alive = [node for node in nodes if node.get("Alive", node.get("alive"))]
    total = [{name: _amount(node["Resources"], name) for name in ("CPU", "GPU")} for node in alive]
    listed = [
        f"{node.get('NodeManagerAddress', 'a node')} has {_words(has)}"
        for node, has in zip(alive, total, strict=True)
    ]
    more = f", and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    found = "; ".join(listed[:_SHOWN]) + more if listed else "it has no nodes"
    each = " each" if wish.n > 1 else ""
    asked = f"{wish.n} agent{'s' * (wish.n > 1)} of {_words(wish.bundle)}{each}"
    return (
        f"Ray has found no room within {after_s:.0f} s for {asked} ({wish.strategy}): {found}; "
        f"free are {_words({n: _amount(free, n) for n in ('CPU', 'GPU')})}{_why(wish, total)}"
    )


def _why(wish: Wish, nodes: Sequence[Mapping[str, float]]) -> str:
    """What cannot be, whoever else leaves."""
    places = [min(_fits(wish.bundle, has), wish.n) for has in nodes]
    if not any(places):
        return f". No node has {_words(wish.bundle)}"
    if wish.strategy == "STRICT_SPREAD" and (there := sum(map(bool, places))) < wish.n:
        return f". STRICT_SPREAD asks for {wish.n} such nodes, and there {_are(there)}"
    if wish.strategy == "STRICT_PACK" and max(places) < wish.n:
        return (
            f". STRICT_PACK asks for one node for all, and the largest has room for {max(places)}"
        )
    if sum(places) < wish.n:
        return f". All nodes together have room for {sum(places)}"
    return ". Others use what is missing"


def _fits(bundle: Mapping[str, float], has: Mapping[str, float]) -> int:
    return int(min(has.get(name, 0.0) // amount for name, amount in bundle.items()))


def _amount(resources: Mapping[str, float], name: str) -> float:
    return float(resources.get(name, 0.0))


def _words(resources: Mapping[str, float]) -> str:
    return " and ".join(_counted(resources.get(n, 0.0), n) for n in _named(resources))


def _named(resources: Mapping[str, float]) -> Iterable[str]:
    return ("CPU", "GPU") if resources.get("GPU") else ("CPU",)


def _counted(amount: float, name: str) -> str:
    return f"{amount:g} {name}{'' if amount == 1 else 's'}"


def _are(count: int) -> str:
    return "is 1" if count == 1 else f"are {count}"
