"""A pipeline drawn at random, and what has to come out of it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import minipipe as mp
from tests.chaos.cargo import KINDS, cargo
from tests.chaos.functors import Holder, Keep, Load, Work, Write
from tests.chaos.systems import joined, looped

LIVES: dict[str, Any] = {"max_restarts": 10**6, "poison": "skip"}

# Where the workers of a segment are to run: one whose workers may be killed, or another one.
Places = Callable[[bool], str | None]


def anywhere(mortal: bool) -> None:
    """Where there is only one machine."""


@dataclass
class End:
    """A sink, and what has to come to it."""

    name: str
    keys: list[int]
    ordered: bool  # each of its workers gets them ascending
    workers: int
    path: str = ""  # of a function sink: where it writes
    held_back: bool = False  # until all before have come: deaths change nothing about the order


@dataclass(frozen=True)
class Flow:
    """What comes out of a part of the pipeline."""

    keys: list[int]
    numbered: bool = True  # the segment with state before it has put them out ascending
    arrives: bool = True  # they come ascending, whoever takes them
    ordered: bool = False  # an `ordered` function has passed them on since
    mortal: bool = False  # it comes from workers that may be killed

    def behind(self, work: Work, workers: int, ordered: bool) -> Flow:
        """What comes out of a function."""
        keys = [key for key in self.keys if work.passes(key)]
        arrives = self.numbered if ordered else self.arrives and workers == 1
        return Flow(keys, self.numbered, arrives, self.ordered or ordered, True)

    def comes_to(self, workers: int) -> bool:
        """Whether each of so many workers gets them ascending.

        What a dead worker had under way to one may come to another, after later ones.
        """
        return self.arrives and (workers == 1 or self.ordered or not self.mortal)

    def unordered(self, keys: list[int]) -> Flow:
        """What comes as it comes; what holds back for an `ordered` function still does."""
        return Flow(keys, False, False, self.ordered, True)

    def anew(self) -> Flow:
        """What comes out of one object, which numbers them anew as they come."""
        return Flow(self.keys, self.arrives, self.arrives)


@dataclass
class Plan:
    """One pipeline."""

    rng: random.Random
    place: str
    peaceful: bool = False  # nothing in it kills
    places: Places = anywhere
    kinds: list[str] = field(default_factory=lambda: KINDS)  # of what items may carry
    words: list[str] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    mortal: set[str] = field(default_factory=set)  # segments whose workers may be killed
    letters: str = ""
    poison: set[int] = field(default_factory=set)  # what has to be set aside
    reads: End | None = None  # what the caller's loop has to get
    shared_bytes: int | None = None
    kind: str = ""  # of what items carry
    size_bytes: int = 0  # of all of it
    _count: int = 0

    def pipeline(self) -> mp.PipeLine | mp.PipeSystem:
        """Draws it."""
        rng = self.rng
        self.letters = os.path.join(self.place, "letters")
        items = rng.choice((60, 300, 800))
        size = rng.choice((0, 0, 100, 70_000, 400_000))
        self.shared_bytes = rng.choice((None, None, 0, 200_000, 3_000_000))
        pause_s = rng.choice((0.0, 0.0, 0.001))
        kind = rng.choice(self.kinds)
        if kind == "tensors":  # every worker, and whoever takes its place, has to import torch
            items, size = 60, min(size, 70_000)
        self.kind, self.size_bytes = kind, items * size
        self.words.append(f"{items} items {kind} of {size} B, shared_bytes={self.shared_bytes}")
        load, flow = Load(items, cargo(kind, size), pause_s), Flow(list(range(items)))
        shape = rng.random()
        if shape < 0.2:
            return joined(self, load, flow, LIVES)
        if shape < 0.3:
            return looped(self, load, flow)
        pline = mp.PipeLine([mp.Source(load, "load", on=self.places(False))])
        for _ in range(rng.randint(1, 3)):
            parts, flow = self._middle(flow)
            for part in parts:
                pline.add(part)
        if rng.random() < 0.35:
            pline.add(mp.Broadcast(self._branches(flow)))
        elif rng.random() < 0.25:
            self.reads = End("(loop)", flow.keys, flow.arrives, 1)
            self.words.append("-> loop")
        else:
            pline.add(self.sink(flow))
        return pline

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    def function(self, flow: Flow, **ends: Any) -> tuple[mp.Segment, Flow]:
        """Draws a function; its streams, if it is in no line."""
        rng = self.rng
        name, workers = self._name("f"), rng.randint(1, 3)
        marks = os.path.join(self.place, name)
        os.mkdir(marks)
        work = Work(
            rng.choice((0.0, 0.0005, 0.002)),
            drops=rng.choice((0, 0, 3, 7)),
            fails=rng.choice((0, 0, 11)),
            dies=rng.choice((0, 0, 0, 97)),
            dooms=rng.choice((0, 0, 0, 149)),
            marks=marks,
            anew=rng.random() < 0.5,
            peaceful=self.peaceful,
        )
        ordered = rng.random() < 0.4
        options: dict[str, Any] = dict(
            **ends, n_processes=workers, ordered=ordered, max_failures=10**6, **LIVES
        )
        options["buffer_size"] = rng.choice((None, None, 1, 4))
        options["dead_letter"] = self.letters
        options["on"] = self.places(True)
        if rng.random() < 0.3:
            holder = Holder(**vars(work))
            segment = mp.Transform(holder, name, restart=True, **options)
        else:
            segment = mp.Transform(work, name, **options)
        self.mortal.add(name)
        self.poison |= {key for key in flow.keys if work.is_poison(key)}
        self.words.append(
            f"-> {name} x{workers}{' ordered' if ordered else ''}"
            f"{' restart' if segment.restart else ''} {work.drops}/{work.fails}/{work.dies}"
            f"/{work.dooms}{' threads' if segment.threads > 1 else ''}"
        )
        return segment, flow.behind(work, workers * segment.threads, ordered)

    def _middle(self, flow: Flow) -> tuple[list[Any], Flow]:
        draw = self.rng.random()
        if draw < 0.45:
            threads = self.rng.choice((1, 1, 3))
            segment, flow = self.function(flow, threads=threads)
            return [segment], flow
        if draw < 0.6:
            size, threads = self.rng.choice((1, 3, 16)), self.rng.choice((1, 1, 3))
            segment, flow = self.function(flow, batch=size, collate=list, threads=threads)
            self.words.append(f"in batches of {size}")
            return [segment, mp.FlatMap(as_it_is, name=self._name("flat"))], flow.anew()
        if draw < 0.8:
            holder = Holder(0.0005, drops=self.rng.choice((0, 5)))
            name = self._name("o")
            self.words.append(f"-> {name} {holder.drops}")
            held = mp.Transform(holder, name, on=self.places(False))
            return [held], flow.behind(holder, 1, False).anew()
        name = self._name("flat")
        self.words.append(f"-> {name}")
        return [mp.FlatMap(as_list, name=name)], flow.anew()

    def _branches(self, flow: Flow) -> list[list[mp.Segment]]:
        """Draws the branches of a broadcast, which recover together.

        So a death in one of them makes the others drop what is on its way to them; it is sent
        again, and may then come to another worker than before, after later ones.
        """
        ends, mortal = len(self.ends), len(self.mortal)
        branches = [self._branch(flow) for _ in range(self.rng.randint(2, 3))]
        if len(self.mortal) > mortal:
            for end in self.ends[ends:]:
                end.ordered &= end.workers == 1 or end.held_back
        return branches

    def _branch(self, flow: Flow) -> list[mp.Segment]:
        self.words.append("=>")
        if self.rng.random() < 0.5:
            return [self.sink(flow)]
        segment, passed = self.function(flow)
        return [segment, self.sink(passed)]

    def sink(self, flow: Flow, **ends: Any) -> mp.Segment:
        """Draws a sink; the stream that it takes from, if it is in no line."""
        name, workers = self._name("k"), self.rng.choice((1, 1, 2))
        # Behind an `ordered` function it would hold back what waits for others: no restart then.
        if self.rng.random() < 0.25 and not flow.ordered:
            path = os.path.join(self.place, name)
            self.ends.append(End(name, flow.keys, False, workers, path))
            self.mortal.add(name)
            self.words.append(f"-> function sink {name} x{workers}")
            on = self.places(True)
            return mp.Sink(Write(path), name, n_processes=workers, on=on, **ends, **LIVES)
        ascending = flow.comes_to(workers)
        self.ends.append(End(name, flow.keys, ascending, workers, held_back=flow.ordered))
        self.words.append(f"-> sink {name} x{workers}")
        on = self.places(False)
        return mp.Sink(Keep(), name, n_processes=workers, on=on, **ends)


def as_it_is(batch: list[Any]) -> list[Any]:
    """For a FlatMap: the items of a batch."""
    return batch


def as_list(item: Any) -> list[Any]:
    """For a FlatMap: the item alone."""
    return [item]
