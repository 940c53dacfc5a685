"""Errors of messages from programs that are not MiniPipe."""

from __future__ import annotations

from typing import Any

from minipipe.errors.base import MiniPipeError


class MessageRefusedError(MiniPipeError, ValueError):
    """A message of another program was refused: it is malformed, too large, or would run code.

    Its cause is what was raised there, if anything was.

    Args:
        where: the Source that it came to.
        why: in words.
        size_bytes: of the message.
        number: the how-manieth it was to come there, from 0.

    Attributes:
        message: as it came, bytes or a list of them (its frames); None: this error was sent on.
    """

    def __init__(self, where: str, why: str, size_bytes: int, number: int) -> None:
        super().__init__(why)
        self.where = where
        self.why = why
        self.size_bytes = size_bytes
        self.number = number
        self.message: bytes | list[bytes] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.why, self.size_bytes, self.number)

    def __str__(self) -> str:
        return f"{self.where} refused message {self.number} ({self.size_bytes} bytes): {self.why}"
