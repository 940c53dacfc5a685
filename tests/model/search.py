"""Tries every course of events of a small region."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

from tests.model.region import STEPS, Shape, check, check_end, moves, start


@dataclass
class Found:
    """What a search has come to."""

    states: int
    ends: int
    wrong: str = ""
    course: tuple[Any, ...] = ()


def search(shape: Shape, most: int = 10**7) -> Found:
    """Every state that can be reached, depth first; stops at the first that is wrong.

    Args:
        most: so many states, and no more.
    """
    first = pickle.dumps(start(shape))
    seen = {first}
    todo: list[tuple[bytes, Any]] = [(first, None)]  # with the way there, last step first
    ends = 0
    while todo and len(seen) <= most:
        packed, course = todo.pop()
        state = pickle.loads(packed)
        steps = list(moves(state))
        try:
            if not steps:
                ends += 1
                check_end(state)
        except AssertionError as error:
            return Found(len(seen), ends, str(error), _course(course))
        for step in steps:
            after = pickle.loads(packed)
            way = (step, course)
            try:
                STEPS[step[0]](after, *step[1:])
                check(after)
            except AssertionError as error:
                return Found(len(seen), ends, str(error) or repr(error), _course(way))
            key = pickle.dumps(after)
            if key not in seen:
                seen.add(key)
                todo.append((key, way))
    assert not todo, f"more than {most} states"
    return Found(len(seen), ends)


def _course(way: Any) -> tuple[Any, ...]:
    steps = []
    while way is not None:
        step, way = way
        steps.append(step)
    return tuple(reversed(steps))
