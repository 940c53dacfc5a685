"""For how long something was so, all times together."""

from __future__ import annotations


class Stopwatch:
    """Is told whether it is so, whenever that may have changed."""

    def __init__(self) -> None:
        self._since_s: float | None = None  # it is so; None: it is not
        self._before_s = 0.0

    def look(self, is_so: bool, now_s: float) -> None:
        """From now on it is so, or it is not."""
        if is_so and self._since_s is None:
            self._since_s = now_s
        elif not is_so and self._since_s is not None:
            self._before_s += now_s - self._since_s
            self._since_s = None

    def total_s(self, now_s: float) -> float:
        """For how long it was so until now."""
        return self._before_s + (0.0 if self._since_s is None else now_s - self._since_s)
