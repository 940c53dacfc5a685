"""Segments, as the user declares them: what to call, under which name, with which options.

A segment never sees a process or a socket; it can be made, and its functor called, in any test.
"""

from __future__ import annotations

import inspect
import os
import weakref
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from minipipe.errors import BuildError, OptionError, reject_unknown
from minipipe.protocol.hosts.names import ANY, LOCAL
from minipipe.segments.batching import Batching
from minipipe.segments.functor import FunctorShape, check_arity, shape_of
from minipipe.segments.functor_code import refuse_lazy
from minipipe.segments.gpus import Gpus, check_gpus
from minipipe.segments.options import (
    check_budget,
    check_buffer,
    check_choice,
    check_count,
    check_env,
    check_flag,
    check_ignored,
    check_path,
    check_processes,
    check_seconds,
    reject_synonyms,
)
from minipipe.segments.placing import On, check_on, check_sum, place_of
from minipipe.segments.signature import OPTIONS, Ignored, Signature, Streams
from minipipe.segments.streams import Stream, listed


class Segment:
    """What Source, Transform, Regulator and Sink have in common.

    Args:
        functor_obj: what the segment calls: a function or other callable, an object with a
            `run` method (and, if it likes, `local_init(**init_kwargs)` and `local_term()`,
            each called once in every worker), or a class, which is made in the worker.
        name: shown in errors, statistics and results.
        upstreams: the streams that it takes from, in a PipeSystem.
        downstreams: the streams that it puts to.
        ignore_exceptions: exception classes (and their subclasses) whose raising skips the
            item, with a warning.
        init_kwargs: for `local_init`, for the class, or for a Regulator's coroutine.
        n_processes: how many worker processes run this segment (default 1).
        buffer_size: how many items may wait for each worker; None (default) adapts to about
            10 ms of its work, at least 2 items (1 until the first is finished), at most 64 MiB.
            Several workers that feed several slow ones have none wait while another one idles.
        env: environment variables of its workers, set before their interpreter starts.
        gpus: which GPUs its workers see (CUDA_VISIBLE_DEVICES, set in the same way). A number: so
            many has each worker, dealt out in turn over all segments that say so, of those that
            this process sees; where workers are more than GPUs, they share them. A list, as
            `[0]`: all its workers see these, which count as "cuda:0" does here, or are ids such
            as "GPU-8f3c...".  0, or an empty list: none.
        on: on which machine its workers run, if others may join the run (`run(bind=...)`): "local"
            (that of this process), "any", a tag of machines or the name of one, or how many of
            them where, as `{"gpu": 4, "local": 1}`.  None (default): "any" for Transforms whose
            functor is a function (or has `restart=True`), "local" for what keeps state, reads or
            writes.  Without `bind=` all run here.
        writable: its functor may write to all arrays that it gets, and nobody else sees that.
            Without it, arrays that others may see as well are read-only.
        ordered: what it passes on reaches the next segment that has state in the order of its
            source, however many workers it has.
        restart: whether a worker that dies is replaced, and what it had is done again.  None
            (default): if each item stands alone for the segment, that is, if its functor is a
            function, or is called like one (and, in a Sink, has no `local_term`).  True says so
            of an object: its state is lost with it, and what it was given, and had not finished,
            is done again by others.
        max_restarts: how many deaths in 60 s the run survives in this segment.
        poison: what becomes of an item that two workers have died of: "stop" ends the run, "skip"
            goes on without it.
        timeout_s: a worker whose functor takes longer for one item is killed, which then is a
            death like any other; its Python stack is in the log and in the error.
        start_timeout_s: a worker that is not ready by then (what it imports, its constructor,
            its `local_init`) is killed in the same way.  None (default): five minutes, or
            `timeout_s` if that is longer; no limit without `timeout_s`.
        max_failures: so many items may fail (their functor raises) and are skipped; then the run
            stops.  A whole number, or a share of the items, such as 0.01.  None (default): the
            first one stops it.
        dead_letter: the path of a file to which skipped items are written, and the one whose
            failure ended the run, with what happened to them: `mp.DeadLetters(path)` is a Source
            of them.

    Raises:
        OptionError: an option that does not exist, or with an impossible value.
        BuildError: the functor cannot serve in this kind of segment.
    """

    __signature__ = Signature()  # for help(), editors, inspect: all options by name
    kind: ClassVar[str] = "segment"
    options: ClassVar[tuple[str, ...]] = ()  # beside OPTIONS
    never_restarts: ClassVar[str] = ""  # why restart=True makes no sense, if so
    never_ordered: ClassVar[str] = ""  # why ordered=True makes no sense, if so
    never_batches: ClassVar[str] = ""  # why batch= makes no sense, if so
    never_several: str = ""  # why n_processes makes no sense, if so
    read_only_functor: bool = (
        False  # its functor never writes to what it got or gave: it is one of ours
    )
    batching: Batching | None = None  # if it makes batches of what it gives

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Says what an argument that is missing is called, if it was given by another name."""
        if options:
            reject_synonyms(inspect.getattr_static(cls, "__init__"), args, options, cls.__name__)
        return super().__new__(cls)

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
        gpus: Gpus = None,
        on: On = None,
        writable: bool = False,
        ordered: bool = False,
        restart: bool | None = None,
        max_restarts: int = 3,
        poison: str = "stop",
        timeout_s: float | None = None,
        start_timeout_s: float | None = None,
        max_failures: int | float | None = None,
        dead_letter: str | os.PathLike[str] | None = None,
        **unknown: Any,
    ) -> None:
        self.name = type(self).__name__ if name is None else name
        if not isinstance(self.name, str) or not self.name or "/" in self.name:
            raise OptionError(f"the name of a segment is a text without '/', got {name!r}")
        if any("\ud800" <= character <= "\udfff" for character in self.name):
            raise OptionError(f"the name of a segment is a text that UTF-8 can hold, got {name!r}")
        self.functor_obj = functor_obj
        where = self.where
        if "batch" in unknown and self.never_batches:
            raise OptionError(f"batch= makes no sense for {where}: {self.never_batches}")
        reject_unknown(unknown, (*OPTIONS, *self.options), where)
        self.on = check_on(on, where)
        given = None if n_processes is None else check_processes(n_processes, where)
        self.n_processes = check_sum(self.on, given, where)
        self.buffer_size = check_buffer(buffer_size, where)
        self.env = check_env(env, where)
        self.gpus = check_gpus(gpus, self.env, where)
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
        self.start_timeout_s = check_seconds(start_timeout_s, "start_timeout_s", where)
        self.max_failures = check_budget(max_failures, where)
        self.dead_letter = check_path(dead_letter, "dead_letter", where)
        self.ignore_exceptions = check_ignored(ignore_exceptions, where)
        if init_kwargs is not None and not isinstance(init_kwargs, Mapping):
            raise OptionError(f"init_kwargs of {where} is a dict, got {init_kwargs!r}")
        self.init_kwargs = dict(init_kwargs or {})
        self.shape: FunctorShape = shape_of(functor_obj, self.kind, where)
        refuse_lazy(functor_obj, self.kind, where)
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

    def place_of(self, index: int) -> str:
        """Where its worker of this index is to run: "local", "any", a tag, or a machine's name."""
        return place_of(self.on, index, ANY if self.stateless else LOCAL)

    def length_behind(self, count: int, n_processes: int) -> int | None:
        """How many items it makes of `count`, if its functor drops none; None: it is not known."""
        return None

    def facts(self) -> dict[str, Any]:
        """What must be the same, beside the name, for a run to go on from another one's state."""
        return {}

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
