"""Segments, as the user declares them: what to call, under which name, with which options.

A segment never sees a stream or a process; it can be made, and its functor called, in any test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from minipipe.errors import BuildError, OptionError, reject_unknown
from minipipe.functor import FunctorShape, shape_of

OPTIONS = ("name", "n_processes", "buffer_size", "env", "ignore_exceptions", "init_kwargs")


class Sentinel:
    """Yielded by a Source (the class itself, not an instance), ends the stream."""


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


def check_buffer(buffer_size: object, where: str) -> int | None:
    """`buffer_size` if it is None (automatic) or a whole number of at least 1.

    Raises:
        OptionError: it is not.
    """
    if buffer_size is None:
        return None
    if isinstance(buffer_size, bool) or not isinstance(buffer_size, int) or buffer_size < 1:
        raise OptionError(
            f"buffer_size of {where} is how many items may wait for each worker, at least 1 "
            f"(or None: automatic), got {buffer_size!r}"
        )
    return buffer_size


class Segment:
    """What Source, Transform and Sink have in common.

    Args:
        functor_obj: what the segment calls: a function or other callable, an object with a
            `run` method (and, if it likes, `local_init(**init_kwargs)` and `local_term()`,
            each called once in every worker), or a class, which is made in the worker.
        name: shown in errors, statistics and results.
        ignore_exceptions: exception classes (and their subclasses) whose raising skips the
            item, with a warning.
        init_kwargs: for `local_init`, or for the class.
        n_processes: how many worker processes run this segment (default 1).
        buffer_size: how many items may wait for each worker; None (default) adapts to about
            10 ms of its work, at least 2 items (1 until the first is finished), at most 64 MiB.
        env: environment variables of its workers, set before their interpreter starts.

    Raises:
        OptionError: an option that does not exist, or with an impossible value.
        BuildError: the functor cannot serve in this kind of segment.
    """

    kind: ClassVar[str] = "segment"
    called_with: ClassVar[int] = 1

    def __init__(
        self,
        functor_obj: Any,
        name: str | None = None,
        *,
        ignore_exceptions: Sequence[type[BaseException]] | type[BaseException] | None = None,
        init_kwargs: Mapping[str, Any] | None = None,
        n_processes: int | None = None,
        buffer_size: int | None = None,
        env: Mapping[str, str] | None = None,
        **unknown: Any,
    ) -> None:
        self.name = type(self).__name__ if name is None else name
        if not isinstance(self.name, str) or not self.name or "/" in self.name:
            raise OptionError(f"the name of a segment is a text without '/', got {name!r}")
        self.functor_obj = functor_obj
        where = self.where
        reject_unknown(unknown, OPTIONS, where)
        self.n_processes = 1 if n_processes is None else check_processes(n_processes, where)
        self.buffer_size = check_buffer(buffer_size, where)
        self.env = _check_env(env, where)
        self.ignore_exceptions = check_ignored(ignore_exceptions, where)
        self.init_kwargs = dict(init_kwargs or {})
        self.shape: FunctorShape = shape_of(functor_obj, self.kind, where, self.called_with)

    @property
    def where(self) -> str:
        """How errors call this segment."""
        return f"{type(self).__name__} {self.name!r}"

    @property
    def stateless(self) -> bool:
        """Whether each item stands alone for it, so that its workers need not keep anything."""
        return False

    def __repr__(self) -> str:
        n = f", n_processes={self.n_processes}" if self.n_processes != 1 else ""
        return f"<{self.where}: {self.functor_obj!r}{n}>"


def check_ignored(classes: Any, where: str) -> tuple[type[BaseException], ...]:
    """`ignore_exceptions` as a tuple.

    Raises:
        OptionError: something in it is no exception class.
    """
    if classes is None:
        return ()
    listed = (classes,) if isinstance(classes, type) else tuple(classes)
    for cls in listed:
        if not (isinstance(cls, type) and issubclass(cls, BaseException)):
            raise OptionError(f"ignore_exceptions of {where} lists exception classes, got {cls!r}")
    return listed


def _check_env(env: Any, where: str) -> dict[str, str]:
    for key, value in dict(env or {}).items():
        if not isinstance(key, str) or not isinstance(value, str) or not key or "=" in key:
            raise OptionError(f"env of {where} maps texts to texts, got {key!r}: {value!r}")
    return dict(env or {})


class Source(Segment):
    """Yields the items of the stream.

    The functor is any iterable (list, range, Dataset), a function that returns one (a generator
    function), or an object whose `run` does.  None is skipped; `mp.Sentinel` ends the stream.
    """

    kind = "source"
    called_with = 0


class Transform(Segment):
    """Makes one item of one item; None is not passed on."""

    kind = "transform"

    @property
    def stateless(self) -> bool:
        return not self.shape.has_run


class Sink(Segment):
    """Takes the items; what its functor returns is ignored."""

    kind = "sink"


def unique_names(segments: Sequence[Segment]) -> list[str]:
    """The names, with `_0`, `_1`, ... where one is used more than once."""
    names = [segment.name for segment in segments]
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
