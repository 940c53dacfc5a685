"""When a stream of messages is over."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.errors import OptionError
from minipipe.programs.ends import check_ends


@pytest.mark.parametrize("end", [None, 0, True, 1.5, "END", b"end", ["end", 1], {"end": [None]}])
def test_an_item_ends_it_and_others_do_not(end: Any) -> None:
    ends = pickle.loads(pickle.dumps(mp.Ends(item=end)))
    assert ends.by_item(end)
    others = [None, 0, 1, True, False, 1.0, "end", b"END", [], {}, np.zeros(3), [np.zeros(2), 1]]
    others += [{"end": np.zeros(2)}, {"end": [None], "more": 1}, {"end": [0]}, float("nan")]
    assert not any(ends.by_item(x) for x in others if repr(x) != repr(end))


def test_without_an_item_none_ends_it() -> None:
    for ends in (mp.Ends(count=3), pickle.loads(pickle.dumps(mp.Ends(idle_s=2)))):
        assert not any(map(ends.by_item, (None, 3, 2, "", [])))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"count": 0},
        {"count": True},
        {"count": 2.0},
        {"idle_s": 0},
        {"idle_s": -1.0},
        {"idle_s": float("inf")},
        {"idle_s": float("nan")},
        {"idle_s": "5"},
        {"item": (1, 2)},
        {"item": np.zeros(3)},
        {"item": {1, 2}},
        {"item": {"a": object()}},
    ],
)
def test_what_never_could_end_it_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="Ends"):
        mp.Ends(**wrong)


@pytest.mark.parametrize("wrong", [5, 5.0, "END", {"count": 3}, [mp.Ends(count=1)]])
def test_a_number_alone_is_refused_as_it_could_be_items_or_seconds(wrong: Any) -> None:
    with pytest.raises(OptionError, match=r"ends of it is mp\.Ends\(item=\.\.\.\)"):
        check_ends(wrong, "it")
