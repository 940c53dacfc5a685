"""Errors of functors: what they gave, raised or returned, and what their segment joins."""

from __future__ import annotations

from minipipe.errors.base import MiniPipeError


class OutputsError(MiniPipeError, ValueError):
    """What a functor gave does not fit the number of its segment's downstreams."""

    def __init__(self, where: str, downstreams: int, got: str) -> None:
        super().__init__(where, downstreams, got)
        self.where = where
        self.downstreams = downstreams
        self.got = got

    def __str__(self) -> str:
        return (
            f"{self.where} has {self.downstreams} downstreams, so its functor gives a list or "
            f"tuple of {self.downstreams}, an item or None for each, got {self.got}"
        )


class SentinelError(MiniPipeError, ValueError):
    """A functor that cannot end a stream returned `mp.Sentinel`."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where

    def __str__(self) -> str:
        return (
            f"the functor of {self.where} returned mp.Sentinel: only a Source, and a segment in a "
            "loop, end a stream; return None for what is not to be passed on, or call "
            "pline.stop() to end the run"
        )


class SameIteratorError(MiniPipeError, ValueError):
    """A Source's functor gave the iterator of the epoch before once more."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where

    def __str__(self) -> str:
        return (
            f"the functor of {self.where} returned the same iterator again, which the epoch or "
            "pass before has used up: it has to make a new one each time it is called"
        )


class UnpairedError(MiniPipeError, ValueError):
    """One of the streams that a segment joins had more items than another."""

    def __init__(self, where: str, left: tuple[tuple[str, int], ...]) -> None:
        super().__init__(where, left)
        self.where = where
        self.left = left

    def __str__(self) -> str:
        left = ", ".join(f"{count} of {stream!r}" for stream, count in self.left)
        return (
            f"{self.where} takes one item of each of its upstreams in step, and {left} were left "
            "over when another one had ended (strict=False makes this a warning)"
        )


class TwicePairedError(MiniPipeError, ValueError):
    """A join by identity got two parts of one item from one and the same upstream."""

    def __init__(self, where: str, stream: str) -> None:
        super().__init__(where, stream)
        self.where = where
        self.stream = stream

    def __str__(self) -> str:
        return (
            f"{self.where} joins the parts of each item, and got two of one item from "
            f"{self.stream!r}: two outputs of a segment, or two branches of a broadcast, lead "
            "into that stream; give each of them a stream of its own to the join"
        )


class FunctorError(MiniPipeError, RuntimeError):
    """A functor raised an exception that cannot itself travel between processes.

    It stands in for the original: its type and text are kept as strings, and the remote
    traceback is in the notes like that of any other failure.
    """

    def __init__(self, type_name: str, text: str, where: str) -> None:
        super().__init__(type_name, text, where)
        self.type_name = type_name
        self.text = text
        self.where = where

    def __str__(self) -> str:
        return f"{self.type_name}: {self.text}"


class ResultTooLargeError(MiniPipeError, OverflowError):
    """What a worker's `local_term` returned is more than a message can hold."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(size_bytes, limit_bytes)
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes

    def __str__(self) -> str:
        return (
            f"what local_term returned takes {self.size_bytes / 2**30:.2f} GiB as it is sent, and "
            f"at most {self.limit_bytes / 2**30:.2f} GiB can be handed back: save it to a file "
            "and return the path"
        )


class RemoteTraceback(Exception):
    """The cause of an exception that came from a worker: its traceback there, as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text.rstrip()}\n"""'
