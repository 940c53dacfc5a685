"""Options of `build`: which values they can have."""

from __future__ import annotations

import os
from typing import Any

from minipipe.errors import OptionError


def checked_inline(inline: Any) -> bool:
    """Whether to run inline; None: if the environment says so.

    Raises:
        OptionError: it is something else.
    """
    if inline is None:
        inline = os.environ.get("MINIPIPE_INLINE", "0") not in ("", "0")
    if not isinstance(inline, bool):
        raise OptionError(f"inline is True or False, got {inline!r}")
    return inline
