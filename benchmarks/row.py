"""One line of the table."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A measured value beside what it is compared with."""

    what: str
    measured: str
    against: str
    result: float
    unit: str
    must: float
    goal: float | None
    larger_is_better: bool = False

    @property
    def holds(self) -> bool:
        """Whether the number that must hold does."""
        return self.result >= self.must if self.larger_is_better else self.result <= self.must

    def line(self) -> str:
        """The row in Markdown."""
        sign = "≥" if self.larger_is_better else "≤"
        goal = "" if self.goal is None else f"{sign} {self.goal:g}{self.unit}"
        mark = "ok" if self.holds else "MISSED"
        return (
            f"| {self.what} | {self.measured} | {self.against} | "
            f"{self.result:.3g}{self.unit} | {sign} {self.must:g}{self.unit} | {goal} | {mark} |"
        )


def median_of(measure: Callable[[], float], times: int) -> float:
    """The median of several measurements."""
    return statistics.median(measure() for _ in range(times))
