"""What all states have in common: which format they are in, and that they are whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minipipe.errors import StateError

FORMAT, VERSION = "format", "version"


def checked_format(state: Any, format_: str, version: int, who: str) -> Mapping[str, Any]:
    """The state, if it is of this format and version.

    Args:
        who: reads it, in words.

    Raises:
        StateError: it is no state, or another one.
    """
    if not isinstance(state, Mapping) or FORMAT not in state:
        raise StateError(
            f"load_state_dict takes what state_dict() of such a {who} has given, got {state!r:.80}"
        )
    if state[FORMAT] != format_ or state.get(VERSION) != version:
        raise StateError(
            f"the state is of {state[FORMAT]!r}, version {state.get(VERSION)!r}, and this "
            f"{who} reads {format_!r}, version {version}"
        )
    return state


def not_whole(error: Exception) -> StateError:
    """What to raise for a state in which something is missing, or is something else."""
    return StateError(
        f"the state is not whole ({type(error).__name__}: {error}): was it cut, or changed?"
    )
