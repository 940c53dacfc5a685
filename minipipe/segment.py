"""Segments, as the user declares them: what to call, under which name, with which options.

A segment never sees a process or a socket; it can be made, and its functor called, in any test.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from minipipe.errors import BuildError, OptionError, reject_unknown
from minipipe.functor import FunctorShape, check_arity, shape_of
from minipipe.streams import Stream, check_buffer, listed

# What every segment takes, and what each kind takes beside it.
OPTIONS = (
    *("upstreams", "downstreams"),
    *("name", "n_processes", "buffer_size", "env", "ignore_exceptions", "init_kwargs"),
    *("writable", "ordered", "restart", "max_restarts", "poison"),
    *("timeout_s", "max_failures", "dead_letter"),
)

Streams = Stream | Sequence[Stream] | None
Ignored = Sequence[type[BaseException]] | type[BaseException] | None


def check_processes(n_processes: object, where: str) -> int:
    """`n_processes` if it is a whole number of at least 1.

    Raises:
        OptionError: it is not.
    """
    if isinstance(n_processes, bool) or not isinstance(n_processes, int) or n_processes < 1:
        raise OptionError(
            f"n_processes of {where} is a whole number of at least 1, got {n_processes!r}"
        )
    return n_processes


class Segment:
    """What Source, Transform, Regulator and Sink have in common.

    Args:
        functor_obj: what the segment calls: a function or other callable, an object with a
            `run` method (and, if it likes, `local_init(**init_kwargs)` and `local_term()`,
            each called once in every worker), or a class, which is made in the worker.
        name: shown in errors, statistics and results.
        upstreams, downstreams: the streams that it takes from and puts to, in a PipeSystem.
        ignore_exceptions: exception classes (and their subclasses) whose raising skips the
            item, with a warning.
        init_kwargs: for `local_init`, for the class, or for a Regulator's coroutine.
        n_processes: how many worker processes run this segment (default 1).
        buffer_size: how many items may wait for each worker; None (default) adapts to about
            10 ms of its work, at least 2 items (1 until the first is finished), at most 64 MiB.
        env: environment variables of its workers, set before their interpreter starts.
        writable: its functor may write to all arrays that it gets, and nobody else sees that.
            Without it, arrays that others may see as well are read-only.
        ordered: what it passes on reaches the next segment that has state in the order of its
            source, however many workers it has.
        restart: whether a worker that dies is replaced, and what it had is done again.  None
            (default): if each item stands alone for the segment, that is, if its functor is a
            function.  True says so of an object: its state is lost with it, and what it was
            given, and had not finished, is done again by others.
        max_restarts: how many deaths in 60 s the run survives in this segment.
        poison: what becomes of an item that two workers have died of: "stop" ends the run, "skip"
            goes on without it.
        timeout_s: a worker whose functor takes longer for one item is killed, which then is a
            death like any other; its Python stack is in the log and in the error.
        max_failures: so many items may fail (their functor raises) and are skipped; then the run
            stops.  A whole number, or a share of the items, such as 0.01.  None (default): the
            first one stops it.
        dead_letter: the path of a file to which skipped items are written, with what happened to
            them: `mp.DeadLetters(path)` is a Source of them.

    Raises:
        OptionError: an option that does not exist, or with an impossible value.
        BuildError: the functor cannot serve in this kind of segment.
    """

    kind: ClassVar[str] = "segment"
    options: ClassVar[tuple[str, ...]] = ()  # beside OPTIONS
    never_restarts: ClassVar[str] = ""  # why restart=True makes no sense, if so
    never_ordered: ClassVar[str] = ""  # why ordered=True makes no sense, if so
    careful: bool = False  # its functor never writes to what it got or gave: it is one of ours

    def __init__(
        self,
        functor_obj: Any,
        name: str | None = None,
        *,
        upstreams: Streams = None,
        downstreams: Streams = None,
        ignore_exceptions: Ignored = None,
        init_kwargs: Mapping[str, Any] | None = None,
        n_processes: int | None = None,
        buffer_size: int | None = None,
        env: Mapping[str, str] | None = None,
        writable: bool = False,
        ordered: bool = False,
        restart: bool | None = None,
        max_restarts: int = 3,
        poison: str = "stop",
        timeout_s: float | None = None,
        max_failures: int | float | None = None,
        dead_letter: str | os.PathLike[str] | None = None,
        **unknown: Any,
    ) -> None:
        self.name = type(self).__name__ if name is None else name
        if not isinstance(self.name, str) or not self.name or "/" in self.name:
            raise OptionError(f"the name of a segment is a text without '/', got {name!r}")
        self.functor_obj = functor_obj
        where = self.where
        reject_unknown(unknown, (*OPTIONS, *self.options), where)
        self.n_processes = 1 if n_processes is None else check_processes(n_processes, where)
        self.buffer_size = check_buffer(buffer_size, where)
        self.env = _check_env(env, where)
        self.writable = check_flag(writable, "writable", where)
        self.ordered = check_flag(ordered, "ordered", where)
        if self.ordered and self.never_ordered:
            raise OptionError(f"ordered=True makes no sense for {where}: {self.never_ordered}")
        self.restart = None if restart is None else check_flag(restart, "restart", where)
        if self.restart and self.never_restarts:
            raise OptionError(f"restart=True makes no sense for {where}: {self.never_restarts}")
        self.max_restarts = check_count(max_restarts, "max_restarts", where, 0)
        self.poison = check_choice(poison, "poison", where, ("stop", "skip"))
        self.timeout_s = check_seconds(timeout_s, "timeout_s", where)
        self.max_failures = check_budget(max_failures, where)
        self.dead_letter = check_path(dead_letter, "dead_letter", where)
        self.ignore_exceptions = check_ignored(ignore_exceptions, where)
        if init_kwargs is not None and not isinstance(init_kwargs, Mapping):
            raise OptionError(f"init_kwargs of {where} is a dict, got {init_kwargs!r}")
        self.init_kwargs = dict(init_kwargs or {})
        self.shape: FunctorShape = shape_of(functor_obj, self.kind, where)
        self.term_flag: Any = None
        self.system: weakref.ref[object] | None = None  # the PipeSystem that was built with it
        self.upstreams: tuple[Stream, ...] = ()
        self.downstreams: tuple[Stream, ...] = ()
        self.set_upstreams(upstreams)
        self.set_downstreams(downstreams)

    @property
    def where(self) -> str:
        """How errors call this segment."""
        return f"{type(self).__name__} {self.name!r}"

    @property
    def stateless(self) -> bool:
        """Whether each item stands alone for it, so that its workers need not keep anything."""
        return False

    def check_call(self, inputs: int) -> None:
        """Checks that the functor can be called with one item from each of `inputs` streams.

        Raises:
            BuildError: it cannot.
        """
        check_arity(self.functor_obj, self.kind, self.where, self.shape, inputs, self.init_kwargs)

    # ------------------------------------------------------ its place in a PipeSystem
    def set_upstreams(self, upstreams: Streams) -> None:
        """Takes from these streams.

        Raises:
            BuildError: not streams.
        """
        self.upstreams = listed(upstreams, "upstreams", self.where)

    def set_downstreams(self, downstreams: Streams) -> None:
        """Puts to these streams.

        Raises:
            BuildError: not streams.
        """
        self.downstreams = listed(downstreams, "downstreams", self.where)

    def get_upstreams(self) -> list[Stream]:
        return list(self.upstreams)

    def get_downstreams(self) -> list[Stream]:
        return list(self.downstreams)

    def set_term_flag(self, term_flag: Any) -> None:
        """Ends this segment when `term_flag` is set: looked at in each worker before each item.

        Args:
            term_flag: has `set()` and `is_set()`, such as a `multiprocessing.Event`.

        Raises:
            BuildError: it has not.
        """
        if not callable(getattr(term_flag, "is_set", None)):
            raise BuildError(
                f"the term flag of {self.where} has set() and is_set(), such as a "
                f"multiprocessing.Event, got {term_flag!r}"
            )
        self.term_flag = term_flag

    def reset(self) -> None:
        """Clears the term flag, so that a loop can run again."""
        if self.term_flag is not None and callable(getattr(self.term_flag, "clear", None)):
            self.term_flag.clear()

    def __repr__(self) -> str:
        n = f", n_processes={self.n_processes}" if self.n_processes != 1 else ""
        return f"<{self.where}: {self.functor_obj!r}{n}>"


def check_flag(value: object, option: str, where: str) -> bool:
    """`value` if it is True or False.

    Raises:
        OptionError: it is not.
    """
    if not isinstance(value, bool):
        raise OptionError(f"{option} of {where} is True or False, got {value!r}")
    return value


def check_count(value: object, option: str, where: str, least: int) -> int:
    """`value` if it is a whole number of at least `least`.

    Raises:
        OptionError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OptionError(
            f"{option} of {where} is a whole number of at least {least}, got {value!r}"
        )
    return value


def check_seconds(value: object, option: str, where: str) -> float | None:
    """`value` if it is None or a positive number of seconds.

    Raises:
        OptionError: it is not.
    """
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < float(value) < float("inf"):  # type: ignore[arg-type]
        raise OptionError(f"{option} of {where} is a positive number of seconds, got {value!r}")
    return float(value)  # type: ignore[arg-type]


def check_budget(value: object, where: str) -> int | float | None:
    """`max_failures` if it is None, a number of failures, or a share of the items.

    Raises:
        OptionError: it is not.
    """
    if value is None:
        return None
    if not isinstance(value, bool):
        if isinstance(value, int) and value >= 0:
            return value
        if isinstance(value, float) and 0.0 < value < 1.0:
            return value
    raise OptionError(
        f"max_failures of {where} is how many items may fail (a whole number of at least 0), or "
        f"which share of them (between 0 and 1, such as 0.01), got {value!r}"
    )


def check_path(value: object, option: str, where: str) -> str | None:
    """`value` as a whole path, if it is the path of a file, or None.

    Raises:
        OptionError: it is not.
    """
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike) or not isinstance(path := os.fspath(value), str):
        raise OptionError(f"{option} of {where} is the path of a file, got {value!r}")
    return os.path.abspath(path)


def check_choice(value: object, option: str, where: str, choices: Sequence[str]) -> str:
    """`value` if it is one of `choices`.

    Raises:
        OptionError: it is not.
    """
    if not isinstance(value, str) or value not in choices:
        known = " or ".join(map(repr, choices))
        raise OptionError(f"{option} of {where} is {known}, got {value!r}")
    return value


def check_ignored(classes: Any, where: str) -> tuple[type[BaseException], ...]:
    """`ignore_exceptions` as a tuple.

    Raises:
        OptionError: something in it is no exception class.
    """
    if classes is None:
        return ()
    if not isinstance(classes, type) and (
        isinstance(classes, str) or not isinstance(classes, Iterable)
    ):
        raise OptionError(f"ignore_exceptions of {where} lists exception classes, got {classes!r}")
    listed_classes = (classes,) if isinstance(classes, type) else tuple(classes)
    for cls in listed_classes:
        if not (isinstance(cls, type) and issubclass(cls, BaseException)):
            raise OptionError(f"ignore_exceptions of {where} lists exception classes, got {cls!r}")
    return listed_classes


def _check_env(env: Any, where: str) -> dict[str, str]:
    for key, value in dict(env or {}).items():
        texts = isinstance(key, str) and isinstance(value, str)
        if not texts or not key or "=" in key or "\0" in key + value:
            raise OptionError(f"env of {where} maps texts to texts, got {key!r}: {value!r}")
    return dict(env or {})


def unique_names(names: Sequence[str]) -> list[str]:
    """The names, with `_0`, `_1`, ... where one is used more than once."""
    seen: dict[str, int] = {}
    unique: list[str] = []
    for name in names:
        if names.count(name) == 1:
            unique.append(name)
            continue
        number = seen.get(name, 0)
        seen[name] = number + 1
        unique.append(f"{name}_{number}")
    if len(set(unique)) < len(unique):
        raise BuildError(f"two segments would have the same name: {', '.join(unique)}")
    return unique
