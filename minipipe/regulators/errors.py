"""What is raised when samples or rows do not go together."""

from __future__ import annotations

from minipipe.errors import MiniPipeError


class CollateError(MiniPipeError, ValueError):
    """Samples that make no batch, or a batch that has no rows like those before it.

    Attributes:
        subject: which one: "sample 3 of the batch", "chunk 7".
        where: the place in it, as it would be written in Python: `['image'][0]`; "" for all of it.
        expected, got: what should be there, and what is.
        mend: what to do about it.
    """

    def __init__(self, subject: str, where: str, expected: str, got: str, mend: str) -> None:
        super().__init__(subject, where, expected, got, mend)
        self.subject = subject
        self.where = where
        self.expected = expected
        self.got = got
        self.mend = mend

    def __str__(self) -> str:
        at = f", at {self.where}" if self.where else ""
        return f"{self.subject}{at}: expected {self.expected}, got {self.got}; {self.mend}"
