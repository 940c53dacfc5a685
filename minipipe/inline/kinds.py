"""Sources, functions and Regulators: how each kind of segment calls its functor inline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from inspect import GEN_CLOSED, getgeneratorstate
from types import GeneratorType
from typing import Any

from minipipe.codec import readable
from minipipe.errors import FunctorError, LifecycleError, SameIteratorError
from minipipe.inline.connections import Delivery, Ident
from minipipe.inline.stage import Stage, logger
from minipipe.process.describe import text_of
from minipipe.segments.coroutine import Coroutine, lost_tail
from minipipe.segments.functor import Opened, coroutine_kwargs, is_made_in_worker
from minipipe.segments.functor_code import yields_nothing
from minipipe.segments.kinds import Source
from minipipe.segments.markers import Sentinel

# A generator is finished after it raised; `iter(object with __getitem__)` would ask for the same
# index for ever.  Other iterators may go on after an ignored exception.
_ENDED_BY_ERRORS = (GeneratorType, type(iter(type("_", (), {"__getitem__": None})())))


class SourceStage(Stage):
    """Yields what the functor gives, epoch by epoch."""

    _iterator: Iterator[Any] | None = None
    _last: Iterator[Any] | None = None
    _epochs = 0  # begun
    _number = 0

    def next(self) -> list[Delivery] | None:
        """Where the next item goes; None if there are no more."""
        self.as_worker()
        while not self.quits and not self.is_flagged():
            try:
                if self._iterator is None and not self._begin():
                    break
                assert self._iterator is not None
                item = next(self._iterator)
            except StopIteration:
                self._iterator = None
                continue
            except BaseException as error:
                if not self._goes_on_after(error):
                    break
                continue
            if item is Sentinel:
                break
            if item is None:
                self.dropped += 1
                continue
            self._number += 1
            return self.put(item, None, self._number - 1, (item,))
        self.quit()
        return None

    def _begin(self) -> bool:
        """Begins the next epoch, if there is one."""
        declared = self.declared
        assert isinstance(declared, Source) and self.opened is not None
        # Each of several workers goes through all of it.
        if self._epochs == declared.epochs * self.segment.n_processes:
            return False
        if self._epochs and is_made_in_worker(declared.functor_obj):
            self.opened.replace(Opened.open(declared.functor_obj, declared.init_kwargs))
        iterator = self.opened.iterate(self.where)
        if iterator is self._last:
            raise SameIteratorError(self.where)
        if isinstance(iterator, GeneratorType) and getgeneratorstate(iterator) == GEN_CLOSED:
            raise LifecycleError(
                f"the generator of {self.where} has been used up: inline it is the caller's own, "
                "so give the generator function, or make the generator anew for each pass"
            )
        self._iterator = self._last = iterator
        self._epochs += 1
        return True

    def _goes_on_after(self, error: BaseException) -> bool:
        if self._iterator is None:  # it has not even begun
            self.note(error, f"its functor at item {self._number}")
            raise error
        ends = isinstance(self._iterator, _ENDED_BY_ERRORS)
        why = " and the stream ends, as a generator cannot go on" if ends else ""
        if not self.skips(error, Ident(self.segment.index, self._number), (), why, last=ends):
            raise error
        return not ends

    @property
    def taken(self) -> int:
        return self.items_out + self.dropped

    def leave(self) -> None:
        # An initialised generator is the caller's, who may go on with it after reset().
        if isinstance(self._iterator, GeneratorType):
            if self._iterator is not self.declared.functor_obj:
                self._iterator.close()
            self._iterator = None


class FunctionStage(Stage):
    """A Transform or a Sink."""

    def take(self, inlet: int, item: Any, ident: Ident) -> Iterable[Delivery]:
        whole = self.gather(inlet, item, ident)
        if whole is None:
            return ()
        assert self.opened is not None
        arguments, ident = whole
        self.as_worker()
        try:
            result = readable(self.opened.call)(*arguments)
        except BaseException as error:
            if not self.skips(error, ident, arguments):
                if isinstance(error, StopIteration):  # which would look like an end
                    where = f"in its functor of segment {self.segment.name!r} (inline)"
                    told = FunctorError("StopIteration", text_of(error), where)
                    for note in error.__notes__:
                        told.add_note(note)
                    raise told from error
                raise
            return ()
        if not self.outlets:
            return ()
        if result is Sentinel:
            self.quit_by_sentinel(ident.number, arguments)
            return ()
        return self.put(result, ident, ident.number, arguments)


class RegulatorStage(Stage):
    """Sends items into a coroutine; takes from it only when the last output is worked off."""

    _coroutine: Coroutine | None = None

    def open(self) -> None:
        super().open()
        opened, declared = self.opened, self.declared
        assert opened is not None
        kwargs = coroutine_kwargs(declared.functor_obj, declared.init_kwargs)
        self._coroutine = Coroutine(lambda: opened.call(**kwargs), self.where)
        try:
            self._coroutine.prime()
        except BaseException as error:
            if not self.skipping.skips(error, None, (), skipped="its coroutine did not begin"):
                self.note(error, "its functor")
                raise
            self.judge_failures()

    def take(self, inlet: int, item: Any, ident: Ident) -> Iterator[Delivery]:
        whole = self.gather(inlet, item, ident)
        if whole is None:
            return
        coroutine = self._coroutine
        assert coroutine is not None
        arguments, ident = whole
        sent = arguments[0] if len(arguments) == 1 else arguments
        yield from self._outputs(lambda: readable(coroutine.send)(sent), ident, arguments)

    def finish(self) -> Iterator[Delivery]:
        yield from super().finish()
        if self._coroutine is not None:
            yield from self._outputs(self._coroutine.finish, None, ())
            if self._coroutine.lost and not yields_nothing(self.declared.functor_obj):
                logger.warning("%s", lost_tail(self.where, self._coroutine.lost))
        self.judge_failures(final=True)

    def _outputs(
        self, step: Callable[[], Any], ident: Ident | None, arguments: tuple[Any, ...]
    ) -> Iterator[Delivery]:
        assert self._coroutine is not None
        while True:
            self.as_worker()
            try:
                output = step()
            except BaseException as error:
                if not self._skips_step(error, ident, arguments):
                    raise
                return
            if output is None:
                return
            at = self.items_out if ident is None else ident.number
            if output is Sentinel:
                self.quit_by_sentinel(at, arguments)
                return
            yield from self.put(output, None, at, arguments)
            step = self._coroutine.more

    def _skips_step(
        self, error: BaseException, ident: Ident | None, arguments: tuple[Any, ...]
    ) -> bool:
        if ident is not None:
            return self.skips(error, ident, arguments, " and its coroutine is made anew")
        what = "what it held at the end of the stream was skipped"
        if self.skipping.skips(error, None, (), skipped=what):
            return True
        self.note(error, "its functor at the end of the stream")
        return False

    def leave(self) -> None:
        if self._coroutine is not None:
            self._coroutine.close()
