"""How each kind of functor is called with an item, and what a call comes to.

    step = stepper.first(taken)
    while step is not None:       # an item to be passed on
        if step is SKIPPED or step is ENDED: ...
        step = stepper.more(taken)

A step is an item (emit it), None (drop: nothing is passed on), SKIPPED (the functor raised what
is to be ignored, so the item is left out) or ENDED (by `mp.Sentinel`: the segment takes no more).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum, auto
from types import GeneratorType
from typing import Any, Protocol

from minipipe.codec import readable
from minipipe.errors import MessageRefusedError, SameIteratorError, SentinelError
from minipipe.operators.work_item import WorkItem
from minipipe.process.seeds import current
from minipipe.process.worker_info import get_worker_info
from minipipe.protocol.item_seeds import END, EPOCH
from minipipe.segments.coroutine import Coroutine, lost_tail
from minipipe.segments.functor import Opened, coroutine_kwargs, is_made_in_worker
from minipipe.segments.functor_code import yields_nothing
from minipipe.segments.markers import Sentinel
from minipipe.segments.shares import ALONE

# A generator is finished after it raised; `iter(object with __getitem__)` would ask for the same
# index for ever.  Other iterators may go on after an ignored exception.
_ENDED_BY_ERRORS = (GeneratorType, type(iter(type("_", (), {"__getitem__": None})())))


class Ending(Enum):
    """What a call may come to beside an item, or None."""

    SKIPPED = auto()
    ENDED = auto()


SKIPPED, ENDED = Ending.SKIPPED, Ending.ENDED

Taken = WorkItem[Any]


class Runtime(Protocol):
    """Where a functor is called: in a worker, or inline."""

    def guarded(self, taken: Taken | None, function: Callable[..., Any], *args: Any) -> Any:
        """What a function of the user's gives; SKIPPED, if it raised what is to be ignored.

        Args:
            taken: the item that is in work; None: the stream begins, or has ended.
        """

    def broken_at(self, error: Exception, taken: Taken | None) -> BaseException:
        """What to raise for a mistake of the functor's at this item."""


class Stepper(Protocol):
    """Calls the functor of a segment that takes items."""

    def prime(self) -> None:
        """The functor is to be ready for the first item."""

    def first(self, taken: Taken) -> Any:
        """Calls it with an item: the first step of that."""

    def more(self, taken: Taken | None) -> Any:
        """The next step; None if there is none."""

    def finish(self) -> Any:
        """The stream has ended: the first step of what it still gives."""

    def lost(self) -> str:
        """What to say of items that it has let go at the end; "" if there are none."""

    def close(self) -> None:
        """Ends what is open in it."""


class FunctionStepper:
    """A Transform's or a Sink's: a call for each item.

    Args:
        ends: whether it may end the segment (in a loop).
        sinks: what it gives is for nobody.
    """

    def __init__(
        self, runtime: Runtime, opened: Opened, where: str, *, ends: bool, sinks: bool
    ) -> None:
        self._runtime = runtime
        self._function = readable(opened.call)
        self._where = where
        self._ends = ends
        self._sinks = sinks

    def prime(self) -> None:
        pass

    def first(self, taken: Taken) -> Any:
        result = self._runtime.guarded(taken, self._function, *taken.arguments)
        if self._sinks:
            return SKIPPED if result is SKIPPED else None
        if result is Sentinel:
            if not self._ends:
                raise self._runtime.broken_at(SentinelError(self._where), taken)
            return ENDED
        return result

    def more(self, taken: Taken | None) -> Any:
        return None

    def finish(self) -> Any:
        return None

    def lost(self) -> str:
        return ""

    def close(self) -> None:
        pass


class CoroutineStepper:
    """A Regulator's: any number of outputs for each item."""

    def __init__(
        self,
        runtime: Runtime,
        opened: Opened,
        where: str,
        *,
        ends: bool,
        functor: Any,
        init_kwargs: Mapping[str, Any],
    ) -> None:
        kwargs = coroutine_kwargs(functor, init_kwargs)
        self._coroutine = Coroutine(lambda: opened.call(**kwargs), where)
        self._runtime = runtime
        self._send = readable(self._sent)
        self._where = where
        self._ends = ends
        self._yields_nothing = yields_nothing(functor)

    def prime(self) -> None:
        self._runtime.guarded(None, self._coroutine.prime)

    def first(self, taken: Taken) -> Any:
        return self._step(taken, self._send, *taken.arguments)

    def more(self, taken: Taken | None) -> Any:
        return self._step(taken, self._coroutine.more if taken is not None else self._rest)

    def finish(self) -> Any:
        return self._step(None, self._finish)

    def lost(self) -> str:
        lost = self._coroutine.lost
        return lost_tail(self._where, lost) if lost and not self._yields_nothing else ""

    def close(self) -> None:
        self._coroutine.close()

    def _finish(self) -> Any:
        current().begin_outside(END)
        return self._coroutine.finish()

    def _rest(self) -> Any:
        current().begin_more()
        return self._coroutine.more()

    def _sent(self, *arguments: Any) -> Any:
        return self._coroutine.send(arguments[0] if len(arguments) == 1 else arguments)

    def _step(self, taken: Taken | None, function: Callable[..., Any], *args: Any) -> Any:
        output = self._runtime.guarded(taken, function, *args)
        if output is not Sentinel:
            return output
        if not self._ends:
            raise self._runtime.broken_at(SentinelError(self._where), taken)
        return ENDED


class Epochs:
    """The iterators of a Source, one for each time that it is gone through.

    Attributes:
        share: of the worker that goes through it, if the functor takes one.
    """

    def __init__(
        self,
        opened: Opened,
        where: str,
        *,
        functor: Any,
        init_kwargs: Mapping[str, Any],
    ) -> None:
        self.share = ALONE
        self._opened = opened
        self._where = where
        self._functor = functor
        self._init_kwargs = init_kwargs
        self._last: Iterator[Any] | None = None

    def begin(self, epoch: int) -> Iterator[Any]:
        """The iterator of the next epoch, of this number in its pass: a class is made anew for it.

        For another pass it is not: functors stay.

        Raises:
            SameIteratorError: it is that of the epoch before, which is used up.
        """
        current().begin_outside(EPOCH.format(epoch))
        if (info := get_worker_info()) is not None:
            info.epoch = epoch
        if epoch and self._last is not None and is_made_in_worker(self._functor):
            self._opened.replace(Opened.open(self._functor, self._init_kwargs))
        iterator = self._opened.iterate(self._where, self.share)
        if iterator is self._last:
            raise SameIteratorError(self._where)
        self._last = iterator
        return iterator


def refused_message(error: BaseException) -> Any:
    """What came to a Source and was refused; None: it is another error."""
    return error.message if isinstance(error, MessageRefusedError) else None


def is_ended_by_errors(iterator: Iterator[Any]) -> bool:
    """Whether an iterator has nothing more to give once it has raised."""
    return isinstance(iterator, _ENDED_BY_ERRORS)
