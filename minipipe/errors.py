"""Every error that MiniPipe raises on purpose.

Each derives from `MiniPipeError` and from the built-in exception that it is, so that
`except ValueError` works as well.  Constructor arguments are the fields: that is what makes
them survive pickling between processes.
"""

from __future__ import annotations

from collections.abc import Iterable

from minipipe.synonyms import nearest, suggestion


class MiniPipeError(Exception):
    """The base of all errors raised by MiniPipe itself."""


class BuildError(MiniPipeError, ValueError):
    """The pipeline, as declared, cannot run.  Raised before any process starts."""


class OptionError(BuildError, TypeError):
    """An option that does not exist, or has a value that it cannot have."""


class LifecycleError(MiniPipeError, RuntimeError):
    """A call that does not fit the state that the pipeline is in."""


class MissingExtraError(MiniPipeError, ImportError):
    """A package that is optional is not installed."""

    def __init__(self, package: str, needed_for: str, extra: str) -> None:
        super().__init__(package, needed_for, extra)
        self.package = package
        self.needed_for = needed_for
        self.extra = extra

    def __str__(self) -> str:
        return (
            f"{self.needed_for} needs the package {self.package}: "
            f"pip install '.[{self.extra}]' in the clone of MiniPipe"
        )


class StartError(MiniPipeError, RuntimeError):
    """A worker process could not be started."""


class WireFormatError(MiniPipeError, ValueError):
    """Bytes that arrived are not what this version of MiniPipe writes."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class ItemTypeError(MiniPipeError, TypeError):
    """An item, or a part of it, cannot travel between processes."""

    def __init__(self, where: str, type_name: str, why: str) -> None:
        super().__init__(where, type_name, why)
        self.where = where
        self.type_name = type_name
        self.why = why

    def __str__(self) -> str:
        return f"{self.where} of type {self.type_name} cannot be sent: {self.why}"


class UnreadableItemError(MiniPipeError, ValueError):
    """An item that has arrived could not be made again: its class has not accepted what it gave.

    Its cause is what was raised there.
    """

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what = what
        self.why = why

    def __str__(self) -> str:
        return f"an item cannot be unpickled: {self.what} failed ({self.why})"


class UnknownTransportError(MiniPipeError, ValueError):
    """An address whose scheme no transport answers to."""

    def __init__(self, scheme: str, address: str, known: tuple[str, ...]) -> None:
        super().__init__(scheme, address, known)
        self.scheme = scheme
        self.address = address
        self.known = known

    def __str__(self) -> str:
        return (
            f"unknown transport {self.scheme!r} in {self.address!r} "
            f"(known: {', '.join(self.known)}){did_you_mean(self.scheme, self.known)}"
        )


class TransportError(MiniPipeError, OSError):
    """A socket could not be bound, connected or used."""


class RunDirectoryLostError(MiniPipeError, OSError):
    """Somebody has removed the run's directory while the run was on."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return (
            f"the run's directory {self.path!r} was removed while the run was on, and with it the "
            "sockets of its workers, so the run was stopped: it has to stay until the run's end "
            "(TMPDIR says where it is made)"
        )


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
            f"the functor of {self.where} returned the same iterator again, which the epoch before "
            "has used up: it has to make a new one each time it is called"
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


class WorkerDiedError(MiniPipeError, RuntimeError):
    """A worker process ended without having been asked to."""

    def __init__(
        self,
        segment: str,
        worker: str,
        pid: int,
        how: str,
        item: str,
        why: str,
        outcome: str = "; the run was stopped",
        stack: str = "",
    ) -> None:
        super().__init__(segment, worker, pid, how, item, why, outcome, stack)
        self.segment = segment
        self.worker = worker
        self.pid = pid
        self.how = how
        self.item = item
        self.why = why
        self.outcome = outcome
        self.stack = stack

    @property
    def description(self) -> str:
        """What happened, and where, without what became of it."""
        item = f" while it had {self.item}" if self.item else ""
        return (
            f"segment {self.segment!r} (worker {self.worker}, pid {self.pid}) "
            f"{self.how}{item}{self.why}"
        )

    def then(self, outcome: str, stack: str | None = None) -> WorkerDiedError:
        """The same with another outcome, which begins with a comma or the like."""
        about = (self.segment, self.worker, self.pid, self.how, self.item, self.why)
        return WorkerDiedError(*about, outcome, self.stack if stack is None else stack)

    def because(self, why: str) -> WorkerDiedError:
        """The same with more to say of why."""
        about = (self.segment, self.worker, self.pid, self.how, self.item, self.why + why)
        return WorkerDiedError(*about, self.outcome, self.stack)

    @property
    def stack_shown(self) -> str:
        """Where its functor was, if that is known, as further lines."""
        return f"\nits functor was at:\n{self.stack}" if self.stack else ""

    def __str__(self) -> str:
        return f"{self.description}{self.outcome}{self.stack_shown}"


class PoisonError(MiniPipeError, RuntimeError):
    """An item that was in a segment's functor at two deaths."""

    def __init__(self, segment: str, item: str, first: str, second: str) -> None:
        super().__init__(segment, item, first, second)
        self.segment = segment
        self.item = item
        self.first = first
        self.second = second

    def __str__(self) -> str:
        return (
            f"{self.item} has killed two workers of segment {self.segment!r}, so the run was "
            f"stopped (poison='skip' goes on without such items): first {self.first}; then "
            f"{self.second}"
        )


class ResultTooLargeError(MiniPipeError, OverflowError):
    """What a worker's `local_term` returned is more than a message can hold."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(size_bytes, limit_bytes)
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes

    def __str__(self) -> str:
        return (
            f"what local_term returned takes {self.size_bytes / 2**30:.2f} GiB when pickled, and "
            f"at most {self.limit_bytes / 2**30:.2f} GiB can be handed back: save it to a file "
            "and return the path"
        )


class TooManyFailuresError(MiniPipeError, RuntimeError):
    """More items of a segment have failed than `max_failures` allows.

    Its cause is the last of these failures.
    """

    def __init__(self, segment: str, failures: int, items: int, allowed: str, last: str) -> None:
        super().__init__(segment, failures, items, allowed, last)
        self.segment = segment
        self.failures = failures
        self.items = items
        self.allowed = allowed
        self.last = last

    def __str__(self) -> str:
        items = f" of {self.items} items" if self.items else " items"
        return (
            f"{self.failures}{items} have failed in segment {self.segment!r} ({self.allowed}), so "
            f"the run was stopped; the last of them:\n{self.last}"
        )


class RemoteTraceback(Exception):
    """The cause of an exception that came from a worker: its traceback there, as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text.rstrip()}\n"""'


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known word nearest to `word`, or nothing."""
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else ""


def reject_unknown(unknown: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raises `OptionError` for the first option that `where` does not have."""
    known = tuple(known)
    for name in unknown:
        raise OptionError(
            f"{where} has no option {name!r}{suggestion(name, known)} (known: {', '.join(known)})"
        )
