"""The kinds of segments: Source, Transform, Regulator, Sink."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from minipipe.errors import BuildError, OptionError
from minipipe.segments.options import check_count
from minipipe.segments.segment import Ignored, Segment, Streams
from minipipe.segments.streams import listed


class Source(Segment):
    """Yields the items of the stream.

    The functor is any iterable (list, range, Dataset), a function that returns one (a generator
    function), or an object whose `run` does.  None is skipped; `mp.Sentinel` ends the stream.
    With several downstreams it yields lists or tuples, element i for downstream i.  Each of
    several worker processes (n_processes, in a PipeSystem) goes through all of it.

    Args:
        epochs: how often it is gone through: the function is called again, the iterable begun
            again, a class made anew.
        length: how many items an epoch has, if that is known.
    """

    kind = "source"
    options: ClassVar[tuple[str, ...]] = ("epochs", "length")
    never_ordered = "its items are in the order in which it yields them already"
    never_restarts = "nobody knows where its items would have to begin again"

    def __init__(
        self,
        functor_obj: Any,
        name: str = "Source",
        downstreams: Streams = None,
        ignore_exceptions: Ignored = None,
        *,
        epochs: int = 1,
        length: int | None = None,
        **options: Any,
    ) -> None:
        if "upstreams" in options:
            raise BuildError(f"Source {name!r} has no upstreams: it is where items come from")
        if options.get("dead_letter") is not None:
            raise OptionError(
                f"dead_letter makes no sense for Source {name!r}: where it fails there is no item "
                "that could be kept; give it to the segments behind it"
            )
        super().__init__(
            functor_obj,
            name,
            downstreams=downstreams,
            ignore_exceptions=ignore_exceptions,
            **options,
        )
        self.epochs = check_count(epochs, "epochs", self.where, 1)
        if length is None:
            self.length = _length_of(functor_obj)
        else:
            self.length = check_count(length, "length", self.where, 0)
        if self.epochs > 1 and isinstance(functor_obj, Iterator):
            raise BuildError(
                f"{self.where} has epochs={epochs}, and {functor_obj!r} can be gone through only "
                "once: give the function that makes it (or a list, or a class)"
            )
        self.check_call(0)

    def set_upstreams(self, upstreams: Streams) -> None:
        if listed(upstreams, "upstreams", self.where):
            raise BuildError(f"{self.where} has no upstreams: it is where items come from")


class _Middle(Segment):
    """What takes items and gives items."""

    options: ClassVar[tuple[str, ...]] = ("strict",)

    def __init__(
        self,
        functor_obj: Any,
        name: str | None = None,
        upstreams: Streams = None,
        downstreams: Streams = None,
        ignore_exceptions: Ignored = None,
        init_kwargs: Mapping[str, Any] | None = None,
        *,
        strict: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(
            functor_obj,
            name,
            upstreams=upstreams,
            downstreams=downstreams,
            ignore_exceptions=ignore_exceptions,
            init_kwargs=init_kwargs,
            **options,
        )
        self.strict = bool(strict)


class Transform(_Middle):
    """Makes one item of one item; None is not passed on.

    With several upstreams it is called with an item from each.  With several downstreams it
    returns a list or tuple, element i for downstream i, None elements sent nowhere.

    Args:
        strict: whether items that are left over, when one of several upstreams has ended before
            the others, are an error; else a warning.
    """

    kind = "transform"

    @property
    def stateless(self) -> bool:
        return not self.shape.has_run or self.restart is True


class Regulator(_Middle):
    """Cuts, gathers or reorders: any number of items for any number of items.

    The functor is a coroutine function (`x = yield`), or an object whose `run` is one.  It is
    called with `init_kwargs`, advanced to its first `yield`, and sent each item; what it yields
    is passed on until it yields None, or ends and is made anew for the next item.  When its
    input has ended, `mp.EndOfStream` is thrown into it, and what it yields then is passed on.
    """

    kind = "regulator"
    never_ordered = "it keeps the order of what it takes; let the segment before it be ordered"
    never_restarts = "what it has gathered of items that others have let go would be lost"


class Sink(Segment):
    """Takes the items; what its functor returns is ignored."""

    kind = "sink"
    never_ordered = "it passes nothing on; let the segment before it be ordered"
    options: ClassVar[tuple[str, ...]] = ("strict",)

    def __init__(
        self,
        functor_obj: Any,
        name: str = "Sink",
        upstreams: Streams = None,
        ignore_exceptions: Ignored = None,
        init_kwargs: Mapping[str, Any] | None = None,
        *,
        strict: bool = True,
        **options: Any,
    ) -> None:
        if "downstreams" in options:
            raise BuildError(f"Sink {name!r} has no downstreams: use a Transform to pass items on")
        super().__init__(
            functor_obj,
            name,
            upstreams=upstreams,
            ignore_exceptions=ignore_exceptions,
            init_kwargs=init_kwargs,
            **options,
        )
        self.strict = bool(strict)

    def set_downstreams(self, downstreams: Streams) -> None:
        if listed(downstreams, "downstreams", self.where):
            raise BuildError(f"{self.where} has no downstreams: use a Transform to pass items on")


def _length_of(functor: Any) -> int | None:
    if isinstance(functor, type):
        return None
    try:
        return len(functor)
    except Exception:  # no length, or one that its class cannot tell: it is a courtesy only
        return None
