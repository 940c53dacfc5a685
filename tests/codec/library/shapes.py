"""A library that MiniPipe has never heard of: circles, and a generator that draws them."""

from __future__ import annotations

from collections.abc import Sequence

SEEDS: list[int] = []


class Circle:
    """A radius; as any object it could only be pickled."""

    def __init__(self, radius: float) -> None:
        self.radius = radius


class Circles:
    """Many of them."""

    def __init__(self, radii: Sequence[float]) -> None:
        self.radii = list(radii)


class Drawing:
    """An open one, which two processes must not draw on."""

    def __reduce__(self) -> str:
        raise TypeError("a drawing cannot be pickled")


def seed(value: int) -> None:
    SEEDS.append(value)
