"""Options of `build` and `run`: which values they can have."""

from __future__ import annotations

import os
from typing import Any

from minipipe.errors import OptionError
from minipipe.segments.options import check_seed


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


def check_run_options(*, grace_s: Any, seed: Any, shared_bytes: Any) -> int | None:
    """The seed as an int, if it is one; the others are as they should be.

    Raises:
        OptionError: one has a value that it cannot have.
    """
    if isinstance(grace_s, bool) or not isinstance(grace_s, (int, float)) or grace_s < 0:
        raise OptionError(f"grace_s of run is a number of seconds, got {grace_s!r}")
    if shared_bytes is not None and (type(shared_bytes) is not int or shared_bytes < 0):
        raise OptionError(f"shared_bytes of run is a number of bytes, got {shared_bytes!r}")
    return check_seed(seed, "run", "other random numbers in each run")
