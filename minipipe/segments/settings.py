"""Options of a segment that is made already, set from outside: by a command line, say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from minipipe.errors import OptionError, reject_unknown
from minipipe.segments.batching import batching_of
from minipipe.segments.gpus import check_gpus
from minipipe.segments.kinds import Source, Transform
from minipipe.segments.options import (
    check_budget,
    check_buffer,
    check_choice,
    check_count,
    check_flag,
    check_path,
    check_processes,
    check_seconds,
    check_threads,
)
from minipipe.segments.placing import check_on, check_sum
from minipipe.segments.segment import Segment


def set_option(segment: Segment, option: str, value: Any) -> None:
    """Sets what the segment was made with, or would have been by default.

    Raises:
        OptionError: it has no such option, or that cannot have this value.
    """
    known = settable(segment)
    if option not in known:
        reject_unknown([option], sorted(known), segment.where)
    if option in _OF_BATCHES:
        _set_batching(segment, option, value)
    else:
        setattr(segment, option, _CHECKS[option](value, segment))


def settable(segment: Segment) -> set[str]:
    """The options of a segment that a number, a text, True, False or None says all of."""
    beside = {
        "epochs": isinstance(segment, Source),
        "length": isinstance(segment, Source),
        "dead_letter": not isinstance(segment, Source),
        "ordered": not segment.never_ordered,
        "restart": not segment.never_restarts,
        "threads": isinstance(segment, Transform),
        "strict": "strict" in segment.options,
    }
    names = {name for name in _CHECKS if beside.get(name, True)}
    return names | _OF_BATCHES if isinstance(segment, Transform) else names


def _epochs(value: Any, segment: Segment) -> int:
    epochs = check_count(value, "epochs", segment.where, 1)
    if epochs > 1 and isinstance(segment.functor_obj, Iterator):
        raise OptionError(
            f"epochs={epochs} for {segment.where}, and {segment.functor_obj!r} can be gone through "
            "only once: give the Source the function that makes it"
        )
    return epochs


def _on(value: Any, segment: Segment) -> str | dict[str, int] | None:
    on = check_on(value, segment.where)
    check_sum(on, segment.n_processes, segment.where)
    return on


def _restart(value: Any, segment: Segment) -> bool | None:
    return None if value is None else check_flag(value, "restart", segment.where)


def _set_batching(segment: Segment, option: str, value: Any) -> None:
    """Sets one of the options that make batches; what is declared of the others stays."""
    now = segment.batching
    batch = value if option == "batch" else None if now is None else now.size
    drop_last = value if option == "drop_last" else now is not None and now.drops_last
    collate = None if now is None else now.collate
    segment.batching = batching_of(batch, collate, drop_last, segment.where)


_OF_BATCHES = {"batch", "drop_last"}
_CHECKS: dict[str, Callable[[Any, Segment], object]] = {
    "n_processes": lambda value, s: check_sum(s.on, check_processes(value, s.where), s.where),
    "buffer_size": lambda value, s: check_buffer(value, s.where),
    "gpus": lambda value, s: check_gpus(value, s.env, s.where),
    "on": _on,
    "writable": lambda value, s: check_flag(value, "writable", s.where),
    "ordered": lambda value, s: check_flag(value, "ordered", s.where),
    "restart": _restart,
    "max_restarts": lambda value, s: check_count(value, "max_restarts", s.where, 0),
    "poison": lambda value, s: check_choice(value, "poison", s.where, ("stop", "skip")),
    "timeout_s": lambda value, s: check_seconds(value, "timeout_s", s.where),
    "start_timeout_s": lambda value, s: check_seconds(value, "start_timeout_s", s.where),
    "max_failures": lambda value, s: check_budget(value, s.where),
    "dead_letter": lambda value, s: check_path(value, "dead_letter", s.where),
    "strict": lambda value, s: check_flag(value, "strict", s.where),
    "threads": lambda value, s: check_threads(value, s.where, stateless=s.stateless),
    "epochs": _epochs,
    "length": lambda value, s: None if value is None else check_count(value, "length", s.where, 0),
}
