"""`FlatMap`: one item becomes any number of items."""

from __future__ import annotations

import reprlib
from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from minipipe.errors import BuildError
from minipipe.segments.functor import Opened, check_arity, shape_of
from minipipe.segments.functor_code import refuse_lazy
from minipipe.segments.kinds import Regulator
from minipipe.segments.markers import EndOfStream

if TYPE_CHECKING:
    from typing import Unpack

    from minipipe.segments.signature import RegulatorOptions


class FlatMap(Regulator):
    """Passes on each element of what f gives for an item.

        pline.add(mp.FlatMap(str.split))                        # a text -> its words
        pline.add(mp.FlatMap(lambda x: [x, x[:, ::-1]]))        # image -> it, and its mirror image

    A generator is passed on while it runs, so its elements need not be in memory together.

    Beside what is named here it takes the options of every Regulator.

    Args:
        f: called with each item; gives an iterable, or None for no elements.  None among them is
            not passed on.  As for a Transform: a function or other callable, an object with `run`
            (and `local_init`, `local_term`), or a class, made in the worker with `init_kwargs`.
        name: shown in errors and statistics.

    Raises:
        OptionError: an option that does not exist, or with an impossible value.
        BuildError: f cannot be called with one item; (in the worker) it gave no iterable, or a
            str, bytes or dict, whose elements are rarely what is meant.
    """

    options = (*Regulator.options, "f")

    def __init__(self, f: Any, name: str = "FlatMap", **options: Unpack[RegulatorOptions]) -> None:
        where = f"{type(self).__name__} {name!r}"
        self._shape_of_f = shape_of(f, "transform", where)
        refuse_lazy(f, "flat map", where)
        self._f = f
        flattening = FlatteningWithTerm if self._shape_of_f.has_term else Flattening
        super().__init__(flattening(f, where), name, **options)

    def check_call(self, inputs: int) -> None:
        """Checks that f can be called with one item.

        Raises:
            BuildError: it cannot.
        """
        super().check_call(inputs)
        check_arity(self._f, "transform", self.where, self._shape_of_f, 1, self.init_kwargs)


class Flattening:
    """The functor of a FlatMap."""

    def __init__(self, f: Any, where: str) -> None:
        self.f = f
        self.where = where
        self._opened: Opened | None = None

    def local_init(self, **init_kwargs: Any) -> None:
        """Makes f, if it is a class, and calls its `local_init`, if it has one."""
        self._opened = Opened.open(self.f, init_kwargs)

    def run(self) -> Generator[Any, Any, None]:
        """Takes items, gives the elements of what f gives."""
        assert self._opened is not None
        f = self._opened.call
        while True:
            try:
                item = yield
            except EndOfStream:
                return
            for element in self._elements(f(item)):
                if element is not None:
                    yield element
            item = element = None  # not kept in memory until the next one arrives

    def _elements(self, made: Any) -> Iterable[Any]:
        if made is None:
            return ()
        if isinstance(made, str | bytes | Mapping) or not isinstance(made, Iterable):
            raise BuildError(
                f"the functor of {self.where} returned {reprlib.repr(made)}, a "
                f"{type(made).__name__}: it gives a list or another iterable of the items that "
                "are to be passed on (for one, a list of one), or None"
            )
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        # What local_init has made belongs to the process that called it.
        return type(self), (self.f, self.where)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.f!r})"


class FlatteningWithTerm(Flattening):
    """The same for an f that has a `local_term`: only then is the worker's end waited for."""

    def local_term(self) -> Any:
        """What the `local_term` of f returns."""
        assert self._opened is not None and self._opened.local_term is not None
        return self._opened.local_term()
