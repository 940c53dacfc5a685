"""The options of segments, spelled out: for editors, type checkers, and `help()`.

A segment's `__init__` passes most of its options on, so its own signature would say `**options`.
What these are, type checkers and editors read from the classes here (PEP 692), and `help()` and
notebooks from `inspect.signature`, which asks `__signature__`.  A test holds both to `OPTIONS`.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

from minipipe.segments.gpus import Gpus
from minipipe.segments.placing import On
from minipipe.segments.streams import Stream

# What every segment takes, and what each kind takes beside it.
OPTIONS = (
    *("upstreams", "downstreams"),
    *("name", "n_processes", "buffer_size", "env", "gpus", "on"),
    *("ignore_exceptions", "init_kwargs"),
    *("writable", "ordered", "restart", "max_restarts", "poison"),
    *("timeout_s", "start_timeout_s", "max_failures", "dead_letter"),
)

Streams = Stream | Sequence[Stream] | None
Ignored = Sequence[type[BaseException]] | type[BaseException] | None


class SegmentOptions(TypedDict, total=False):
    """What every kind of segment takes beside what its own signature says."""

    n_processes: int | None
    buffer_size: int | None
    env: Mapping[str, str] | None
    gpus: Gpus
    on: On
    writable: bool
    ordered: bool
    restart: bool | None
    max_restarts: int
    poison: str
    timeout_s: float | None
    start_timeout_s: float | None
    max_failures: int | float | None
    dead_letter: str | os.PathLike[str] | None


class SourceOptions(SegmentOptions, total=False):
    """What a Source takes so."""

    init_kwargs: Mapping[str, Any] | None


class PartOptions(SourceOptions, total=False):
    """What a Source with a functor of ours takes."""

    downstreams: Streams
    ignore_exceptions: Ignored
    epochs: int
    length: int | None


class RegulatorOptions(SegmentOptions, total=False):
    """What a Regulator with a functor of ours takes."""

    upstreams: Streams
    downstreams: Streams
    ignore_exceptions: Ignored
    init_kwargs: Mapping[str, Any] | None
    strict: bool


class Signature:
    """The signature of a class of segments with all of its options, made when it is asked for.

    (It is an attribute of the class, `__signature__`, where `inspect` looks first.)
    """

    def __get__(self, segment: object, cls: type[Any]) -> inspect.Signature:
        own, *inherited = _parameters(cls)
        found = {p.name: p for p in own if p.kind is not p.VAR_KEYWORD}
        for name in _options(cls):
            for parameters in inherited:
                for parameter in parameters:
                    if parameter.name == name and parameter.default is not parameter.empty:
                        found.setdefault(name, parameter.replace(kind=parameter.KEYWORD_ONLY))
        return inspect.Signature(list(found.values()))


def _parameters(cls: type[Any]) -> Iterator[list[inspect.Parameter]]:
    """Those of each `__init__` of a class and its bases, without `self`."""
    for one in cls.__mro__:
        init = vars(one).get("__init__")
        if init is not None and one is not object:
            yield list(inspect.signature(init).parameters.values())[1:]


def _options(cls: type[Any]) -> Sequence[str]:
    """The options that make sense for a class of segments."""
    senseless = {
        "upstreams": cls.kind == "source",
        "dead_letter": cls.kind == "source",
        "downstreams": cls.kind == "sink",
        "ordered": bool(cls.never_ordered),
        "restart": bool(cls.never_restarts),
    }
    return [name for name in (*OPTIONS, *cls.options) if not senseless.get(name)]
