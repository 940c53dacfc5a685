"""What can be wrong with a file of dead letters."""

from __future__ import annotations

from minipipe.errors import MiniPipeError


class DeadLetterError(MiniPipeError, ValueError):
    """A file of dead letters is none, is cut off, or holds what may not be read."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(path, what)
        self.path = path
        self.what = what

    def __str__(self) -> str:
        return f"dead letters in {self.path!r}: {self.what}"


class DamagedError(DeadLetterError):
    """It is cut off or damaged; what came before that is whole."""
