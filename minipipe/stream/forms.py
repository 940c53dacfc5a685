"""The form of a record on the wire: how many fields it has and what they may be, by its class.

msgpack gives numbers, strings, bytes, None and tuples.  What the fields of a record are annotated
with says which of them is meant, also inside of tuples; a `Sequence` comes as a tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from minipipe.stream.fits import Alike, Fields

Check = Callable[[Any], bool]

_PLAIN = (int, str, bytes, bool, NoneType)


class Kind(NamedTuple):
    """What may stand at one place.

    Attributes:
        types: the types that a value there may have.
        contents: whether what is in it, if it is a tuple and not empty, is as it should be; None:
            its type is enough.
    """

    types: tuple[type, ...]
    contents: Check | None


def kind_of(hint: Any) -> Kind:
    """What may stand where a field, or what is in it, has this annotation.

    A function that it is annotated with checks the contents instead.
    """
    if hint in _PLAIN:
        return Kind((hint,), None)
    if hint is Any:
        return Kind((object,), None)
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        kind = kind_of(inner[0])
        own = [mark for mark in inner[1:] if callable(mark)]
        return Kind(kind.types, own[0]) if own else kind
    if origin in (Union, UnionType):
        return _one_of([kind_of(each) for each in inner])
    if origin is tuple and inner[-1] is not ...:
        return Kind((tuple,), _each_its_own([kind_of(each) for each in inner]))
    if origin is tuple or origin is Sequence:
        return Kind((tuple,), _all_alike(kind_of(inner[0])))
    raise TypeError(f"a record has a field of {hint!r}, and msgpack has no such thing")


def _one_of(kinds: list[Kind]) -> Kind:
    types = tuple(kind for each in kinds for kind in each.types)
    checks = [(each.types[0], each.contents) for each in kinds if each.contents is not None]
    if not checks:
        return Kind(types, None)
    ((of, check),) = checks
    return Kind(types, lambda value: type(value) is not of or check(value))


def _all_alike(kind: Kind) -> Check | None:
    return None if object in kind.types else Alike(kind.types, kind.contents)


def _each_its_own(kinds: list[Kind]) -> Check:
    return Fields([kind.types for kind in kinds], [kind.contents for kind in kinds])


class Guard(NamedTuple):
    """Marks a field that not every socket accepts, if there is anything in it.

    Attributes:
        needs: which attribute of the socket's `Trust` lets it in.
        holds: what it holds, in words.
        concerns: whether it holds that, as far as there is anything in it.
    """

    needs: str
    holds: str
    concerns: Check = bool


class Form:
    """How one kind of record stands on the wire.

    Attributes:
        name: what it is called in errors.
        fits: whether these are its fields.
        guarded: the fields that not every socket accepts, by position; known after `fits`.
    """

    def __init__(self, cls: type[NamedTuple]) -> None:
        self.cls = cls
        self.name = cls.__name__.upper()
        self.guarded: tuple[tuple[int, Guard], ...] = ()
        self._kinds: list[Kind] = []
        self.fits: Check = self._fits_first

    def _fits_first(self, fields: Any) -> bool:
        # At the first record of its kind: to do it for all of them takes 8 ms of each interpreter.
        self.prepare()
        return self.fits(fields)

    def prepare(self) -> None:
        """Makes the check; a zygote does that for its workers, each of which would need 1 ms."""
        hints = list(get_type_hints(self.cls, include_extras=True).values())
        self.guarded = tuple(
            (i, mark)
            for i, hint in enumerate(hints)
            for mark in getattr(hint, "__metadata__", ())
            if isinstance(mark, Guard)
        )
        self._kinds = [kind_of(hint) for hint in hints]
        self.fits = _each_its_own(self._kinds)

    def why_not(self, fields: Any) -> str:
        """What is wrong with fields that do not fit, in words."""
        names = self.cls._fields
        if type(fields) is not tuple:
            return f"a {type(fields).__name__} came where its fields should be"
        if len(fields) != len(names):
            listed = f" ({', '.join(names)})" if names else ""
            return f"{len(names)} fields were expected{listed}, and {len(fields)} came"
        for name, kind, field in zip(names, self._kinds, fields, strict=True):
            right = type(field) in kind.types
            if not right or (kind.contents is not None and field and not kind.contents(field)):
                expected = self.cls.__annotations__[name].__forward_arg__
                return f"field {name!r} is {field!r:.80}, and {expected} was expected"
        raise AssertionError(f"{fields!r} are the fields of {self.name}")
