"""Errors of agents that Ray has started."""

from __future__ import annotations

from minipipe.errors import MiniPipeError


class AgentsError(MiniPipeError, RuntimeError):
    """Agents have ended before their run; that may have gone on without them.

    Args:
        failures: what each of them has ended by.
    """

    def __init__(self, failures: tuple[str, ...]) -> None:
        super().__init__(failures)
        self.failures = failures

    def __str__(self) -> str:
        return "; ".join(self.failures)
