"""How many items a worker takes between two looks at the clock."""

from __future__ import annotations

from typing import Final

SHORT_S: Final = 0.000_25
LONG_S: Final = 0.001
MAX_ITEMS: Final = 512


class PollInterval:
    """More for quick functors, one for slow ones.

    If a functor that was quick suddenly is not, the service thread does in the meantime what the
    main thread would do between items.
    """

    def __init__(self) -> None:
        self.items = 1

    def took(self, seconds: float) -> None:
        """The last stride took this long."""
        if seconds < SHORT_S:
            self.items = min(MAX_ITEMS, 2 * self.items)
        elif seconds > LONG_S:
            self.items = 1
