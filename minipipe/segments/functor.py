"""Functors: what a user gives to a segment, and how a worker calls it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from minipipe.errors import BuildError, OutputsError
from minipipe.protocol.frozen import frozen
from minipipe.segments.items_of import ItemsOf
from minipipe.segments.shares import ALONE, Share, share_kwargs


@frozen
class FunctorShape:
    """What a functor is, as far as it can be seen without calling it."""

    is_class: bool  # made in the worker
    has_run: bool  # an object with state of its own
    has_term: bool  # it has a local_term

    @property
    def gathers(self) -> bool:
        """Whether what it has at its end comes of all that it got.

        (One that is called by `__call__` was taken for a function: as a Sink that collects, it was
        replaced when its worker died, and returned what had come since then.)
        """
        return self.has_run or self.has_term


_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement


def is_made_in_worker(functor: Any) -> bool:
    """Whether it is a class of which the worker makes an instance.

    `str`, `int`, `tuple` and their like are functions to their users.
    """
    return isinstance(functor, type) and bool(functor.__flags__ & _HEAP_TYPE)


def has_attributes(functor: Any) -> bool:
    """Whether it is an object that calls may change: of a class that is no function's."""
    if isinstance(functor, type):
        return is_made_in_worker(functor)
    functor = getattr(functor, "__self__", functor)  # of a method: the object
    if isinstance(functor, FunctionType | BuiltinFunctionType | ModuleType | type):
        return False
    if hasattr(functor, "__wrapped__"):  # what a decorator has made of a function
        return False
    return bool(getattr(functor, "__dict__", None))


def shape_of(functor: Any, kind: str, where: str) -> FunctorShape:
    """The shape of `functor`.

    Raises:
        BuildError: it cannot serve in a segment of this kind.
    """
    is_class = is_made_in_worker(functor)
    has_run = callable(getattr(functor, "run", None))
    shape = FunctorShape(is_class, has_run, callable(getattr(functor, "local_term", None)))
    serves = has_run or (callable(functor) and not is_class)
    if is_class and not has_run:
        own = any("__call__" in base.__dict__ for base in functor.__mro__)
        serves = own or (kind == "source" and _is_iterable_class(functor))
    if kind == "source" and not serves:
        serves = not isinstance(functor, str) and _is_iterable(functor)
    if not serves:
        raise BuildError(_wrong_functor(functor, kind, where))
    if kind == "regulator" and not is_class:
        call = functor.run if has_run else functor
        if inspect.isgenerator(call) or not callable(call):
            raise BuildError(_wrong_functor(functor, kind, where))
    return shape


def _wrong_functor(functor: Any, kind: str, where: str) -> str:
    if kind == "source":
        return (
            f"{where} needs an iterable, a function that returns one (a generator function, say) "
            f"or an object whose run() does, got {functor!r}"
        )
    if kind == "regulator":
        return (
            f"{where} needs a coroutine function (`item = yield`), not called yet, or an object "
            f"whose run is one, got {functor!r}"
        )
    return (
        f"{where} needs a function, another callable or an object with a run(item) method, "
        f"got {functor!r}"
    )


def _is_iterable(functor: Any) -> bool:
    return isinstance(functor, Iterable) or hasattr(type(functor), "__getitem__")


def _is_iterable_class(functor: type) -> bool:
    return hasattr(functor, "__iter__") or hasattr(functor, "__getitem__")


def check_arity(
    functor: Any,
    kind: str,
    where: str,
    shape: FunctorShape,
    inputs: int,
    init_kwargs: Mapping[str, Any],
) -> None:
    """Checks that the functor can be called as a segment of this kind calls it.

    Raises:
        BuildError: it cannot.
    """
    if shape.is_class:
        _check_class(functor, kind, where, shape, inputs, init_kwargs)
        return
    if kind == "source" and not shape.has_run and (_is_iterable(functor) or not callable(functor)):
        return
    call = functor.run if shape.has_run else functor
    arguments = [None] * inputs if kind in ("transform", "sink") else []
    keywords = coroutine_kwargs(functor, init_kwargs) if kind == "regulator" else {}
    if kind == "source":
        keywords = share_kwargs(call, ALONE)
    try:
        _bind(call, arguments, keywords)
    except TypeError as error:
        name = f"{getattr(call, '__qualname__', repr(call))}{inspect.signature(call)}"
        raise BuildError(_wrong_arity(name, kind, where, inputs, error)) from None


def _bind(call: Any, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> None:
    """Tries whether `call` takes these arguments; one without a signature tells when called.

    What a decorator returns looks, by `functools.wraps`, as if it took what the function inside
    takes, which it may call in another way (with an item unpacked, with a connection): what
    itself takes the arguments is right, too.

    Raises:
        TypeError: it does not.
    """
    try:
        signature = inspect.signature(call)
    except (ValueError, TypeError):
        return  # some builtins have none
    try:
        signature.bind(*arguments, **keywords)
    except TypeError:
        try:
            own = inspect.signature(call, follow_wrapped=False)
        except (ValueError, TypeError):
            own = signature  # of lru_cache, which calls what is inside just so
        if own == signature:
            raise
        own.bind(*arguments, **keywords)


def _check_class(
    functor: type,
    kind: str,
    where: str,
    shape: FunctorShape,
    inputs: int,
    init_kwargs: Mapping[str, Any],
) -> None:
    """Does the same for a class, without making one."""
    try:
        signature = inspect.signature(functor)
    except (ValueError, TypeError):
        pass
    else:
        try:
            signature.bind(**init_kwargs)
        except TypeError as error:
            raise BuildError(
                f"the class {functor.__qualname__}{signature} of {where} is made with its "
                f"init_kwargs {dict(init_kwargs)!r} ({error})"
            ) from None
    name = "run" if shape.has_run else "__call__"
    method = inspect.getattr_static(functor, name, None)
    if kind not in ("transform", "sink") or not inspect.isfunction(method):
        return
    try:
        _bind(method, [None] * (1 + inputs), {})
    except TypeError as error:
        called = f"{method.__qualname__}{inspect.signature(method)}"
        raise BuildError(_wrong_arity(called, kind, where, inputs, error)) from None


def _wrong_arity(name: str, kind: str, where: str, inputs: int, error: TypeError) -> str:
    if kind == "source":
        return (
            f"the functor {name} of {where} is called without arguments, or with `worker` and "
            f"`n_workers` if it takes both ({error}): bind others by functools.partial or a lambda"
        )
    if kind == "regulator":
        return (
            f"the coroutine {name} of {where} is called with its init_kwargs ({error}), and is "
            "then sent each item: take items by `item = yield`"
        )
    if inputs == 1:
        return (
            f"the functor {name} of {where} is called with one item ({error}): "
            "take one parameter and unpack it, as in `def f(item): x, y = item`"
        )
    return f"the functor {name} of {where} is called with one item of each of its {inputs} " + (
        f"upstreams ({error})"
    )


def coroutine_kwargs(functor: Any, init_kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """What of `init_kwargs` a Regulator's coroutine is called with.

    All of them, unless they have gone to the class, or to a `local_init` and the coroutine does
    not take them as well.
    """
    if is_made_in_worker(functor):
        return {}
    if callable(getattr(functor, "local_init", None)):
        try:
            inspect.signature(getattr(functor, "run", functor)).bind(**init_kwargs)
        except (TypeError, ValueError):
            return {}
    return init_kwargs


def outputs_of(result: Any, downstreams: int, where: str) -> tuple[Any, ...]:
    """What `result` has for each of several downstreams; None stands for nothing.

    Raises:
        OutputsError: it is not one item, or None, for each of them.
    """
    if result is None:
        return (None,) * downstreams
    if not isinstance(result, list | tuple):
        raise OutputsError(where, downstreams, f"one {type(result).__name__}")
    if len(result) != downstreams:
        raise OutputsError(where, downstreams, f"a {type(result).__name__} of {len(result)}")
    return tuple(result)


@dataclass
class Opened:
    """A functor in its worker, ready to be called."""

    functor: Any
    call: Callable[..., Any]
    local_term: Callable[[], Any] | None

    @classmethod
    def open(cls, functor: Any, init_kwargs: Mapping[str, Any]) -> Opened:
        """Makes a class, then calls `local_init`, if there is one."""
        if is_made_in_worker(functor):
            functor, init_kwargs = functor(**init_kwargs), {}
        local_init = getattr(functor, "local_init", None)
        if callable(local_init):
            local_init(**init_kwargs)
        run = getattr(functor, "run", None)
        local_term = getattr(functor, "local_term", None)
        return cls(
            functor,
            run if callable(run) else functor,
            local_term if callable(local_term) else None,
        )

    def release(self) -> None:
        """Lets go of what a functor of ours holds, whose local_term is not to be called."""
        release = getattr(self.functor, "minipipe_release", None)
        if callable(release):
            release()

    def replace(self, other: Opened) -> None:
        """Becomes `other`: the functor was made anew."""
        self.functor, self.call, self.local_term = other.functor, other.call, other.local_term

    def iterate(self, where: str, share: Share = ALONE) -> Iterator[Any]:
        """The items of a Source, as far as this worker is to yield them.

        Raises:
            BuildError: what the functor is or returned cannot be iterated.
        """
        functor = self.functor
        if callable(getattr(functor, "run", None)):
            made = self.call(**share_kwargs(self.call, share))
        elif _is_iterable(functor):
            made = functor
        else:
            made = functor(**share_kwargs(functor, share))
        if not _is_iterable(made):
            raise BuildError(f"the functor of {where} returned {made!r}, which is no iterable")
        if not isinstance(made, Iterable) and hasattr(type(made), "__len__"):
            return ItemsOf(made)
        return iter(made)
