"""torch's tensors, if the user's code has imported torch; it is never imported here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any


def is_tensor(value: Any) -> bool:
    """Whether it is a tensor of torch."""
    tensor = getattr(sys.modules.get("torch"), "Tensor", None)
    return tensor is not None and isinstance(value, tensor)


def stack(tensors: Sequence[Any]) -> Any:
    """One tensor of them, along a new first axis."""
    return sys.modules["torch"].stack(list(tensors))
