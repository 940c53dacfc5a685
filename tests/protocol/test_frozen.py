"""Frozen dataclasses of our own: as `dataclass(frozen=True)` has them, but for the refusal."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.frozen import frozen


@frozen
class Ours:
    """A class."""

    x: int
    y: str = "y"
    z: tuple[int, ...] = field(default=(), repr=False)
    w: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Theirs:
    """The same."""

    x: int
    y: str = "y"
    z: tuple[int, ...] = field(default=(), repr=False)
    w: int = field(default=0, compare=False)


@frozen
class Other:
    """With the fields of the first."""

    x: int
    y: str = "y"

    def __repr__(self) -> str:
        return "its own"


VALUES = st.tuples(
    st.integers(0, 2), st.sampled_from("ab"), st.just(()) | st.just((1,)), st.integers(0, 1)
)


@given(VALUES, VALUES)
def test_equal_hashed_and_shown_as_the_standard_ones(one: tuple, other: tuple) -> None:
    ours, theirs = (Ours(*one), Ours(*other)), (Theirs(*one), Theirs(*other))
    assert (ours[0] == ours[1]) == (theirs[0] == theirs[1])
    assert (ours[0] != ours[1]) == (theirs[0] != theirs[1])
    assert (hash(ours[0]) == hash(ours[1])) == (hash(theirs[0]) == hash(theirs[1]))
    assert repr(ours[0]) == repr(theirs[0]).replace("Theirs", "Ours")
    assert len({*ours}) == len({*theirs})


def test_equal_fields_of_another_class_are_not_equal() -> None:
    assert Ours(1) != Other(1) and Ours(1) != (1, "y", (), 0) and Ours(1) != 1
    assert repr(Other(1)) == "its own"


def test_what_dataclasses_do_with_them() -> None:
    one = Ours(1, z=(2,))
    assert dataclasses.replace(one, x=3) == Ours(3, z=(2,))
    assert dataclasses.asdict(one) == {"x": 1, "y": "y", "z": (2,), "w": 0}
    assert [f.name for f in dataclasses.fields(one)] == ["x", "y", "z", "w"]
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
    match one:
        case Ours(x, y):
            assert (x, y) == (1, "y")
