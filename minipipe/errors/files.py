"""Errors of the files that Sources read."""

from __future__ import annotations

from typing import Any

from minipipe.errors.base import MiniPipeError


class FileReadError(MiniPipeError, OSError):
    """A Source could not read a file, or a part of it, however often it has tried.

    Its cause is what was raised there.

    Args:
        where: the Source.
        file: its path, or its URL.
        part: which part of it ("row group 3"); "" for all of it.
        tries: how often it was tried.
        why: in words.
    """

    def __init__(self, where: str, file: str, part: str, tries: int, why: str) -> None:
        super().__init__(why)  # (with more arguments, OSError takes the first for an errno)
        self.where = where
        self.file = file
        self.part = part
        self.tries = tries
        self.why = why

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.file, self.part, self.tries, self.why)

    def __str__(self) -> str:
        part = f" ({self.part})" if self.part else ""
        tries = f" after {self.tries} tries" if self.tries > 1 else ""
        return f"{self.where} could not read {self.file!r}{part}{tries}: {self.why}"
