"""What a run says of itself to other processes that ask: its counters, as one text of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from minipipe.observe.load import SegmentFacts, SegmentLoad, loads
from minipipe.protocol.delivery.membership import LOCAL_HOST
from minipipe.protocol.frozen import frozen
from minipipe.protocol.run.stats import RunStats, WorkerStats

_TEXTS = ("worker", "segment", "state")
_NUMBERS = tuple(field.name for field in fields(WorkerStats) if field.type in ("int", "float"))


@frozen
class Bulletin:
    """A run at one moment.

    Attributes:
        pid: of the process that has it.
        script: the path of its program; or what stands for that, such as `python -c`.
        began_at: seconds since 1970.
        facts: its segments, in the order of the pipeline.
        total: how many items its source makes, if that is known.
        verdict: what limits it, in words; empty: nothing, or too little is known.
    """

    pid: int
    script: str
    began_at: float
    facts: tuple[SegmentFacts, ...]
    total: int | None
    stats: RunStats
    verdict: str

    def loads(self) -> tuple[SegmentLoad, ...]:
        """What each segment has done so far."""
        return loads(self.stats, self.facts)

    def to_json(self) -> bytes:
        """As it is sent."""
        return json.dumps(asdict(self), default=repr).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Bulletin:
        """What was sent; also by another version, whose workers may count other things.

        Raises:
            ValueError: it is nothing of the kind.
        """
        try:
            read: Any = json.loads(text)
            total = read["total"]
            stats = read["stats"]
            return cls(
                int(read["pid"]),
                str(read["script"]),
                float(read["began_at"]),
                tuple(_fact(fact) for fact in read["facts"]),
                None if total is None else int(total),
                RunStats(
                    str(stats["state"]),
                    float(stats["seconds"]),
                    tuple(_worker(worker) for worker in stats["workers"]),
                ),
                str(read["verdict"]),
            )
        except (TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise ValueError(f"no bulletin of a run: {error!r}") from error


def _fact(read: Mapping[str, Any]) -> SegmentFacts:
    return SegmentFacts(str(read["name"]), str(read["kind"]), bool(read["scalable"]))


def _worker(read: Mapping[str, Any]) -> WorkerStats:
    item = read.get("item")
    counted: dict[str, Any] = {name: _number(read.get(name, 0)) for name in _NUMBERS}
    counted |= {name: str(read[name]) for name in _TEXTS}
    counted["host"] = str(read.get("host", LOCAL_HOST))
    return WorkerStats(item=None if item is None else int(item), **counted)


def _number(value: Any) -> Any:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"a number, got {value!r}")
    return value
