"""A graph drawn at random, of which all is known but the order in which its items come."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import minipipe as mp
from tests.differential.functors import (
    Change,
    Changing,
    Enter,
    Fate,
    FlawError,
    Gather,
    Keep,
    Load,
    Ring,
    Round,
    Split,
    Splitting,
    Spread,
    Stack,
    Write,
    Yield,
)

Pipeline = mp.PipeLine | mp.PipeSystem


@dataclass(frozen=True)
class Flow:
    """What comes out of a part of the graph.

    Attributes:
        stream: None in a line.
        form: "any"; "sample": what can be stacked; "batch": what has rows.
        numbered: the segment with state before it has put them out in the order of inline.
        arrives: they come in the order of inline, whoever takes them, if it is one worker.
        named: they have the identities that they have inline.
    """

    stream: mp.Stream | None
    form: str
    numbered: bool = True
    arrives: bool = True
    named: bool = True

    def at(self, stream: mp.Stream | None) -> Flow:
        return replace(self, stream=stream)


@dataclass(frozen=True)
class End:
    """A Sink, or the caller's loop (no path and no name)."""

    name: str
    ordered: bool
    path: str = ""


@dataclass
class Plan:
    """One graph.

    Args:
        fatal: name of a functor, digest of an item of it, how that ends the run.
    """

    seed: int
    place: str
    fatal: tuple[str, int, str] | None = None
    words: list[str] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    letters: str = ""
    named: set[str] = field(default_factory=set)  # segments whose dead letters have identities
    early: set[str] = field(default_factory=set)  # segments that may end when a join has ended
    loops: bool = False
    tight: bool = False  # a segment may have too many failures, or a join something left over
    _count: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.letters = os.path.join(self.place, "letters")
        self.segments: list[mp.Segment] = []
        self.is_line = self.rng.random() < 0.5

    # ------------------------------------------------------------------- whole graphs
    def pipeline(self) -> Pipeline:
        """Draws it."""
        return self._line() if self.is_line else self._system()

    def _line(self) -> mp.PipeLine:
        rng = self.rng
        flow = self._source(None)
        parts: list[Any] = []
        for _ in range(rng.randint(1, 4)):
            flow = self._middle(flow)
        parts, self.segments = list(self.segments), []
        if rng.random() < 0.3:
            branches = []
            for _ in range(rng.randint(2, 3)):
                self.words.append("=>")
                branch = flow
                for _ in range(rng.randint(0, 2)):
                    branch = self._middle(branch)
                self._sink(branch)
                branches.append(self.segments)
                self.segments = []
            return mp.PipeLine([*parts, mp.Broadcast(branches)])
        if rng.random() < 0.4:
            self.ends.append(End("", flow.arrives))
            return mp.PipeLine(parts)
        self._sink(flow)
        return mp.PipeLine([*parts, *self.segments])

    def _system(self) -> mp.PipeSystem:
        rng = self.rng
        open_: list[Flow] = [self._source(self._stream())]
        if (more := rng.random()) < 0.35:
            other = self._ring() if more < 0.1 else self._source(self._stream())
            first = open_.pop()
            in_step = first.arrives and other.arrives and rng.random() < 0.7
            open_.append(self._zip(first, other) if in_step else self._merge(first, other))
        for _ in range(rng.randint(1, 5)):
            flow = open_.pop(rng.randrange(len(open_)))
            draw = rng.random()
            in_step = [other for other in open_ if other.arrives and flow.arrives]
            if draw < 0.3:
                open_.append(self._middle(flow))
            elif draw < 0.4:
                open_ += self._fork(flow, 2)
            elif draw < 0.6:
                open_ += self._fork_and_join(flow)
            elif draw < 0.7:
                open_ += self._broadcast(flow)
            elif draw < 0.85 and in_step:
                other = rng.choice(in_step)
                open_.remove(other)
                open_.append(self._zip(flow, other))
            elif draw < 0.9 and open_:
                open_.append(self._merge(flow, open_.pop()))
            elif draw < 0.95:
                open_.append(self._share(flow))
            else:
                open_.append(self._loop(flow))
        for flow in open_:
            self._sink(flow)
        return mp.PipeSystem(self.segments)

    # ----------------------------------------------------------------------- parts
    def _stream(self, **options: Any) -> mp.Stream:
        self._count += 1
        return mp.Stream(f"s{self._count}", **options)

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    def _add(
        self, kind: Any, functor: Any, name: str, ups: Any, downs: Any, **options: Any
    ) -> None:
        if not self.is_line:
            if ups is not None:
                options["upstreams"] = ups
            if downs is not None:
                options["downstreams"] = downs
        self.words.append(f"{name}({', '.join(f'{k}={v}' for k, v in self._said(options))})")
        self.segments.append(kind(functor, name=name, **options))

    def _said(self, options: dict[str, Any]) -> list[tuple[str, Any]]:
        said = []
        for key, value in options.items():
            if key == "ignore_exceptions":
                said.append(("ignores", "..."))
            elif key in ("upstreams", "downstreams"):
                streams = value if isinstance(value, list) else [value]
                said.append((key[:-7], "+".join(s.name + "*" * s.broadcast for s in streams)))
            elif key != "dead_letter" and value:
                said.append((key, value))
        return said

    def _fate(self, name: str, *, refuses: bool = False, drops: bool = True) -> Fate:
        rng = self.rng
        fate = Fate(
            name,
            drops=rng.choice((0, 0, 5)) if drops else 0,
            fails=rng.choice((0, 0, 4, 7)),
            refuses=rng.choice((0, 0, 6)) if refuses else 0,
            scribbles=rng.random() < 0.3,
        )
        if self.fatal is not None and self.fatal[0] == name:
            fate = replace(fate, fatal=self.fatal[1:])
        self.words.append(f"[{fate.drops}/{fate.fails}/{fate.refuses}{'!' * fate.scribbles}]")
        return fate

    def _lenience(self, fate: Fate | None, *, letters: bool = True) -> dict[str, Any]:
        """What makes a segment go on after what is to be expected, and lets it write."""
        rng = self.rng
        options: dict[str, Any] = {"writable": True} if fate is not None and fate.scribbles else {}
        draw = rng.random()
        if draw < 0.5:
            options["ignore_exceptions"] = (FlawError, mp.ItemTypeError, mp.CollateError)
        if draw > 0.4:
            options["max_failures"] = rng.choice((10**6, 0.95))
            if rng.random() < 0.08 and not self.tight:
                self.tight = True
                options["max_failures"] = rng.choice((0, 1, 3, 0.05))
        if letters and rng.random() < 0.6:
            options["dead_letter"] = self.letters
        return options

    def _items(self, form: str) -> list[Any]:
        rng = self.rng
        count = rng.choice((0, 1, 8, 20, 20, 45, 45))
        if form == "any" and rng.random() < 0.5:
            return [None if rng.random() < 0.05 else rng.randrange(10**6) for _ in range(count)]
        size = rng.choice((3, 3, 12_000))
        rows = (lambda: (rng.randint(1, 4),)) if form == "batch" else tuple
        items: list[Any] = []
        for _ in range(count):
            n = rows()
            items.append(
                {
                    "x": np.full((*n, size), rng.random()),
                    "key": np.arange(*n) if n else rng.randrange(10**6),
                }
            )
        return items

    # -------------------------------------------------------------------- segments
    def _source(self, stream: mp.Stream | None) -> Flow:
        rng = self.rng
        name, form = self._name("load"), rng.choice(("any", "any", "sample", "batch"))
        fate = replace(self._fate(name, refuses=True), scribbles=False)
        if rng.random() < 0.7:  # a generator ends by it
            fate = replace(fate, fails=0)
        functor = rng.choice((Yield, Load))(fate, self._items(form), rng.random() < 0.5)
        options = self._lenience(None, letters=False)
        options["epochs"] = rng.choice((1, 1, 2))
        workers = rng.choice((1, 1, 1, 2, 3))
        self._add(mp.Source, functor, name, None, stream, n_processes=workers, **options)
        return Flow(stream, form, workers == 1, workers == 1, workers == 1)

    def _middle(self, flow: Flow) -> Flow:
        draw = self.rng.random()
        if draw < 0.3:
            return self._function(flow)
        if draw < 0.5:
            return self._object(flow)
        # What is in a batch follows from the order in which its items are numbered.
        if draw < 0.65 and flow.numbered:
            return self._batches(flow)
        return self._regulator(flow)

    def _next(self, flow: Flow) -> mp.Stream | None:
        return None if flow.stream is None else self._stream()

    def _function(self, flow: Flow, downs: mp.Stream | None = None) -> Flow:
        rng = self.rng
        name, workers, ordered = self._name("f"), rng.randint(1, 3), rng.random() < 0.4
        change = Change(self._fate(name, refuses=True), rng.randrange(100))
        downs = downs or self._next(flow)
        options = dict(n_processes=workers, ordered=ordered, writable=rng.random() < 0.2)
        options |= self._lenience(None)  # a function that writes is given what it may write to
        self._add(mp.Transform, change, name, flow.stream, downs, **options)
        self._name_letters(name, flow)
        arrives = flow.numbered if ordered else flow.arrives and workers == 1
        return Flow(downs, flow.form, flow.numbered, arrives, flow.named)

    def _batches(self, flow: Flow) -> Flow:
        """Batches of what a function, or an object, gives, with functions in between or not."""
        rng = self.rng
        if rng.random() < 0.6:  # else others may need the items one by one, which is refused
            flow = self._object(flow, alike=True)
            if not flow.numbered:
                return flow
        if rng.random() < 0.3:
            flow = self._function(flow)
        name, workers, ordered = self._name("batches"), rng.randint(1, 3), rng.random() < 0.4
        is_object = rng.random() < 0.3
        downs = self._next(flow)
        fate, shift = self._fate(name, refuses=flow.form == "any"), rng.randrange(100)
        options: dict[str, Any] = dict(batch=rng.randint(1, 9), drop_last=rng.random() < 0.3)
        if flow.form != "sample" or rng.random() < 0.2:
            options["collate"] = rng.choice((list, tuple, Stack(rng.choice((0, 3)))))
        if is_object:
            workers, ordered = 1, False
        options |= dict(n_processes=workers, ordered=ordered, **self._lenience(fate))
        functor: Any = Changing(fate, shift) if is_object else Change(fate, shift)
        self._add(mp.Transform, functor, name, flow.stream, downs, **options)
        self._name_letters(name, flow)
        form = "any" if "collate" in options else "batch"
        arrives = flow.numbered if ordered else flow.arrives and workers == 1
        if is_object:
            return Flow(downs, form, arrives, arrives, arrives)
        return Flow(downs, form, flow.numbered, arrives, flow.named)

    def _object(self, flow: Flow, downs: mp.Stream | None = None, alike: bool = False) -> Flow:
        rng = self.rng
        name, workers = self._name("o"), rng.choice((1, 1, 2))
        runs = not alike and flow.arrives and workers == 1 and rng.random() < 0.5
        fate, shift = self._fate(name, refuses=True), rng.randrange(100)
        downs = downs or self._next(flow)
        options: dict[str, Any] = dict(n_processes=workers, **self._lenience(fate))
        functor: Any = Changing(fate, shift, running=runs)
        if rng.random() < 0.3:
            functor, options["init_kwargs"] = Changing, vars(functor)
        self._add(mp.Transform, functor, name, flow.stream, downs, **options)
        self._name_letters(name, flow)
        arrives = flow.arrives and workers == 1
        return Flow(downs, "any" if runs else flow.form, arrives, arrives, arrives)

    def _regulator(self, flow: Flow) -> Flow:
        rng, downs = self.rng, self._next(flow)
        ends = {} if self.is_line else {"upstreams": flow.stream, "downstreams": downs}
        lenience = self._lenience(None)
        draw = rng.random()
        if draw < 0.35:
            name, workers = self._name("flat"), rng.choice((1, 1, 2))
            spread = Spread(self._fate(name, refuses=True), rng.randrange(100))
            lenience["writable"] = spread.fate.scribbles
            self._count_words(name, workers)
            self.segments.append(
                mp.FlatMap(spread, name=name, n_processes=workers, **ends, **lenience)
            )
            self._name_letters(name, flow)
            arrives = flow.arrives and workers == 1
            return Flow(downs, flow.form, arrives, arrives, arrives)
        if draw < 0.45:
            name = self._name("shuffle")
            self._count_words(name, 1)
            self.segments.append(mp.Shuffle(rng.choice((1, 4, 50)), name=name, **ends, **lenience))
            return Flow(downs, flow.form, False, False, False)
        if not flow.arrives:  # what is gathered would depend on the order
            return self._function(flow, downs)
        if flow.form == "any" or draw < 0.6:
            name = self._name("gather")
            fate = self._fate(name, refuses=False)
            gather = Gather(fate, rng.randint(1, 4), rng.random() < 0.3)
            self._add(mp.Regulator, gather, name, flow.stream, downs, **self._lenience(fate))
            return Flow(downs, "any")
        if flow.form == "sample":
            name = self._name("batch")
            self._count_words(name, 1)
            batch = mp.Batch(rng.randint(1, 9), rng.random() < 0.5, name=name, **ends, **lenience)
            self.segments.append(batch)
            return Flow(downs, "batch")
        name = self._name("rows")
        self._count_words(name, 1)
        if rng.random() < 0.5:
            self.segments.append(mp.Unbatch(name=name, **ends, **lenience))
            return Flow(downs, "sample")
        self.segments.append(
            mp.Rebatch(rng.randint(1, 9), rng.random() < 0.5, name=name, **ends, **lenience)
        )
        return Flow(downs, "batch")

    def _name_letters(self, name: str, flow: Flow) -> None:
        if flow.named:
            self.named.add(name)

    def _count_words(self, name: str, workers: int) -> None:
        self.words.append(f"{name} x{workers}")

    def _sink(self, flow: Flow) -> None:
        rng = self.rng
        name, workers = self._name("k"), rng.choice((1, 1, 2))
        fate = self._fate(name)
        ordered = flow.arrives and workers == 1
        options: dict[str, Any] = dict(n_processes=workers, **self._lenience(fate))
        if rng.random() < 0.4:
            path = os.path.join(self.place, name)
            self.ends.append(End(name, ordered, path))
            functor: Any = Write(fate, path)
        else:
            self.ends.append(End(name, ordered))
            functor = Keep(fate)
        self._add(mp.Sink, functor, name, flow.stream, None, **options)
        self._name_letters(name, flow)

    # ---------------------------------------------------------------- systems only
    def _fork(self, flow: Flow, ways: int) -> list[Flow]:
        rng = self.rng
        downs = [self._stream() for _ in range(ways)]
        name, workers, has_state = self._name("fork"), rng.choice((1, 1, 3)), rng.random() < 0.4
        fate = self._fate(name)
        split = (Splitting if has_state else Split)(fate, rng.randrange(100), ways)
        options = dict(n_processes=workers, **self._lenience(fate))
        self._add(mp.Transform, split, name, flow.stream, downs, **options)
        self._name_letters(name, flow)
        arrives = flow.arrives and workers == 1
        numbered = arrives if has_state else flow.numbered
        named = flow.named and not has_state  # its outputs may share numbers, as they are sent
        return [Flow(down, flow.form, numbered, arrives, named) for down in downs]

    def _broadcast(self, flow: Flow) -> list[Flow]:
        """A function puts to a broadcast, which several functions take from."""
        stream = self._stream(broadcast=True)
        out = self._function(flow, stream)
        return [self._function(out.at(stream)) for _ in range(self.rng.randint(2, 3))]

    def _fork_and_join(self, flow: Flow) -> list[Flow]:
        rng = self.rng
        if rng.random() < 0.35:
            stream = self._stream(broadcast=True)
            out = self._function(flow, stream)
            branches, rest = [out, out], []
        else:
            branches = self._fork(flow, rng.choice((2, 2, 3)))
            branches, rest = branches[:2], branches[2:]
        grown = []
        for i, branch in enumerate(branches):
            for _ in range(rng.randint(int(branches[0] is branches[1] and i > 0), 2)):
                branch = (
                    self._function(branch)
                    if rng.random() < 0.6
                    else self._object(branch, alike=True)
                )
            grown.append(branch)
        down = self._stream()
        name = self._name("join")
        fate = self._fate(name, refuses=True)
        functor = (Changing if rng.random() < 0.5 else Change)(fate, rng.randrange(100))
        ups = [branch.stream for branch in grown]
        self._add(mp.Transform, functor, name, ups, down, **self._lenience(fate))
        self._name_letters(name, grown[0])
        return [*rest, Flow(down, "any", False, False, False)]

    def _zip(self, flow: Flow, other: Flow) -> Flow:
        rng, down, name = self.rng, self._stream(), self._name("zip")
        strict = rng.random() < 0.3 and not self.tight
        self.tight = self.tight or strict
        fate = self._fate(name)
        options = dict(strict=strict, **self._lenience(fate))
        ups = [flow.stream, other.stream]
        if rng.random() < 0.3:
            self._add(mp.Regulator, Gather(fate, rng.randint(1, 4)), name, ups, down, **options)
        else:
            change = Changing(fate, rng.randrange(100))
            self._add(mp.Transform, change, name, ups, down, **options)
        self._name_letters(name, flow)
        if not strict:  # how much of a surplus a source yields before it hears of it is not said
            self.early |= {segment.name for segment in self.segments}
        return Flow(down, "any", False, False, False)

    def _merge(self, flow: Flow, other: Flow) -> Flow:
        down = self._stream()
        self._function(flow, down)
        self._object(other, down, alike=True)
        form = flow.form if flow.form == other.form else "any"
        return Flow(down, form, False, False, False)

    def _share(self, flow: Flow) -> Flow:
        """Two segments that do the same take from one stream."""
        rng, down = self.rng, self._stream()
        fate, shift = self._fate("shared"), rng.randrange(100)
        lenience = self._lenience(fate)
        if "max_failures" in lenience:
            lenience["max_failures"] = 10**6  # nobody knows how many of them come to which one
        for _ in range(2):
            name = self._name("shared")
            self._add(mp.Transform, Changing(fate, shift), name, flow.stream, down, **lenience)
        return Flow(down, flow.form, False, False, False)

    def _loop(self, flow: Flow) -> Flow:
        rng = self.rng
        self.loops = True
        around, out = self._stream(), self._stream()
        name = self._name("enter")
        enter = Enter(self._fate(name), rng.randrange(100))
        self._add(mp.Transform, enter, name, flow.stream, around, **self._lenience(enter.fate))
        name, workers = self._name("round"), rng.choice((1, 1, 2))
        fate = self._fate(name)
        options = dict(n_processes=workers, **self._lenience(fate))
        self._add(mp.Transform, Round(fate), name, around, [around, out], **options)
        return Flow(out, "any", False, False, False)

    def _ring(self) -> Flow:
        self.loops = True
        around, out = self._stream(), self._stream()
        around.put(0)
        name = self._name("ring")
        self._add(mp.Transform, Ring(self.rng.randint(1, 9)), name, around, [around, out])
        return Flow(out, "any")
