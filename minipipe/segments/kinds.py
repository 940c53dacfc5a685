"""The kinds of segments: Source, Transform, Regulator, Sink."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from minipipe.errors import BuildError, OptionError
from minipipe.segments.batching import Collate, batching_of
from minipipe.segments.options import check_count, check_threads
from minipipe.segments.segment import Segment
from minipipe.segments.signature import Ignored, Streams
from minipipe.segments.streams import listed

if TYPE_CHECKING:
    from typing import Unpack

    from minipipe.segments.signature import SegmentOptions, SourceOptions

_PLAIN = (type(None), bool, int, float, str)


class Source(Segment):
    """Yields the items of the stream.

    The functor is any iterable (list, range, Dataset), a function that returns one (a generator
    function), or an object whose `run` does.  None is skipped; `mp.Sentinel` ends the stream.
    With several downstreams it yields lists or tuples, element i for downstream i.

    With n_processes=k the functor takes `worker` (0 to k - 1) and `n_workers` (k), and yields the
    share of that worker; it gets both also if there is one worker.  Items of several workers come
    in any order.  A worker that dies ends the run: nobody knows where its items would begin again.

    Args:
        epochs: how often it is gone through: the function is called again, the iterable begun
            again, a class made anew.
        length: how many items an epoch has, if that is known.
    """

    kind = "source"
    options: ClassVar[tuple[str, ...]] = ("epochs", "length")
    never_ordered = "its items are in the order in which it yields them already"
    never_batches = "give it to the Transform behind it, whose workers then make the batches"
    never_restarts = "nobody knows where its items would have to begin again"
    keeps_refused: ClassVar[bool] = False  # it is fed by messages: those that are refused are kept
    comes_once: ClassVar[bool] = False  # what it yields no run can have it yield again

    def __init__(
        self,
        functor_obj: Any,
        name: str = "Source",
        downstreams: Streams = None,
        ignore_exceptions: Ignored = None,
        *,
        epochs: int = 1,
        length: int | None = None,
        **options: Unpack[SourceOptions],
    ) -> None:
        if "upstreams" in options:
            raise BuildError(f"Source {name!r} has no upstreams: it is where items come from")
        if options.get("dead_letter") is not None and not self.keeps_refused:
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

    @property
    def repeats_unseeded(self) -> bool:
        """Whether it yields the same in another run without a seed: it draws nothing by itself."""
        functor = self.functor_obj
        is_sequence = hasattr(type(functor), "__len__") and hasattr(type(functor), "__getitem__")
        return is_sequence and not self.shape.has_run and not isinstance(functor, type)

    def facts(self) -> dict[str, Any]:
        return {"epochs": self.epochs, "length": self.length}

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
        **options: Unpack[SegmentOptions],
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

    With `batch=64` it passes on batches: its items are dealt out in bundles of 64, and the worker
    that has one calls the functor with each of them and puts what that gives together, as
    DataLoader's workers do.  All else stays by item: what the functor raises, `max_failures`,
    `timeout_s`, `dead_letter`, `poison`, seeds.  An item that is dropped makes its batch smaller.
    What is in a batch follows from the order of the items alone, not from timing.  `buffer_size`
    counts bundles then, and `timeout_s` is for the functor, not for `collate`.

    Args:
        strict: whether items that are left over, when one of several upstreams has ended before
            the others, are an error; else a warning.
        batch: how many items are dealt out together; None (default): each one alone.
        collate: makes the batch, of a list of what the functor gave; what it raises, all items of
            the batch fail with.  None (default): as `mp.Batch` does it, and what does not fit the
            first sample fails alone.
        drop_last: whether fewer than `batch` items, at the end of the stream, are left out: the
            functor is not called with them.
        threads: how many items each worker works on at once, at most 64: for functors that wait
            (for a store, a server), as Python computes in one thread at a time.  With `batch`, of
            one bundle, so that what is in a batch does not follow from timing.  All else is as
            with one: `timeout_s` is for each call; an item that was under way when a worker died
            is called alone the next time, so that it is known which of them is poison; `mp.rng()`
            is the item's.  Global generators (`random`, `np.random`) are the threads' in common,
            and are not seeded by item.  For functions, and objects with `restart=True`.
    """

    kind = "transform"
    options: ClassVar[tuple[str, ...]] = (
        *_Middle.options,
        "batch",
        "collate",
        "drop_last",
        "threads",
    )

    def __init__(
        self,
        functor_obj: Any,
        name: str | None = None,
        upstreams: Streams = None,
        downstreams: Streams = None,
        ignore_exceptions: Ignored = None,
        init_kwargs: Mapping[str, Any] | None = None,
        *,
        batch: int | None = None,
        collate: Collate | None = None,
        drop_last: bool = False,
        threads: int = 1,
        strict: bool = True,
        **options: Unpack[SegmentOptions],
    ) -> None:
        super().__init__(
            functor_obj,
            name,
            upstreams,
            downstreams,
            ignore_exceptions,
            init_kwargs,
            strict=strict,
            **options,
        )
        self.threads = check_threads(threads, self.where, stateless=self.stateless)
        self.batching = batching_of(batch, collate, drop_last, self.where)

    @property
    def stateless(self) -> bool:
        return not self.shape.has_run or self.restart is True

    def length_behind(self, count: int, n_processes: int) -> int | None:
        return count if self.batching is None else self.batching.batches(count)

    def facts(self) -> dict[str, Any]:
        batching = self.batching
        if batching is None:
            return {}
        return {"batch": batching.size, "drop_last": batching.drops_last}


class Regulator(_Middle):
    """Cuts, gathers or reorders: any number of items for any number of items.

    The functor is a coroutine function (`x = yield`), or an object whose `run` is one.  It is
    called with `init_kwargs`, advanced to its first `yield`, and sent each item; what it yields
    is passed on until it yields None, or ends and is made anew for the next item.  When its
    input has ended, `mp.EndOfStream` is thrown into it, and what it yields then is passed on.
    """

    kind = "regulator"
    never_ordered = "it keeps the order of what it takes; let the segment before it be ordered"
    never_batches = "give it to a Transform before it, or add mp.Batch(n)"
    never_restarts = "what it has gathered of items that others have let go would be lost"

    def facts(self) -> dict[str, Any]:
        functor = self.functor_obj
        if not is_dataclass(functor) or isinstance(functor, type):
            return {}
        values = {field.name: getattr(functor, field.name) for field in fields(functor)}
        return {name: value for name, value in values.items() if type(value) in _PLAIN}


class Sink(Segment):
    """Takes the items; what its functor returns is ignored."""

    kind = "sink"
    never_ordered = "it passes nothing on; let the segment before it be ordered"
    never_batches = "it passes nothing on; give it to the Transform before it, or add mp.Batch(n)"
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
        **options: Unpack[SegmentOptions],
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
