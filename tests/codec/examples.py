"""Classes that can be imported, for items to be of."""

from __future__ import annotations

import enum
import threading
from collections import namedtuple
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Pair = namedtuple("Pair", "left right")


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Color(enum.Enum):
    RED = "red"
    GREEN = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Rights(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


@dataclass
class Sample:
    data: Any
    label: Any = 0
    made: int = field(init=False)

    def __post_init__(self) -> None:
        self.made = INITS.append(1) or 7


INITS: list[int] = []


@dataclass
class Child(Sample):
    more: Any = None


@dataclass(frozen=True)
class Frozen:
    data: Any


@dataclass(slots=True)
class Slotted:
    data: Any
    late: Any = field(init=False)


@dataclass(frozen=True, slots=True)
class FrozenSlotted:
    data: Any


@dataclass
class OwnPickling:
    data: Any

    def __getstate__(self) -> dict[str, Any]:
        return {"data": "from getstate"}


@dataclass
class DictLike(dict):  # type: ignore[type-arg]
    data: Any = None


class Plain:
    def __init__(self, data: Any) -> None:
        self.data = data


class Counted(dict):  # type: ignore[type-arg]
    pass


class Locked:
    def __init__(self) -> None:
        self.lock = threading.Lock()


class Explosive:
    def __reduce__(self) -> Any:
        raise ZeroDivisionError("while pickling")


class BadArrival:
    def __reduce__(self) -> Any:
        return _fail, ()


def _fail() -> None:
    raise ZeroDivisionError("while unpickling")
