"""Runs one drawn graph inline and in processes, and says in what they differ."""

from __future__ import annotations

import os
import random
import re
import shutil
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import minipipe as mp
from minipipe.dead_letters.errors import DeadLetterError
from minipipe.dead_letters.file import DeadLetterRecord
from minipipe.dead_letters.reading import letters_in
from tests.differential import functors
from tests.differential.functors import text
from tests.differential.plan import Pipeline, Plan

LIMIT_S = 120.0  # a run that takes longer hangs
HOW = ("raise", "raise", "raise", "exit", "stop", "sentinel")


@dataclass
class Outcome:
    """What came of one run."""

    failure: tuple[str, str] | None = None  # its type, and the segment
    said: str = ""
    ends: dict[str, list[str]] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    letters: Counter[tuple[str, ...]] = field(default_factory=Counter)
    counts: dict[str, tuple[int, int, int]] = field(default_factory=dict)


@dataclass
class Report:
    """What came of one graph."""

    seed: int
    plan: str = ""
    failure: tuple[str, str] | None = None  # inline
    items: int = 0
    letters: int = 0
    differences: list[str] = field(default_factory=list)


def compare(seed: int) -> Report:
    """Draws the graph of this seed, runs it both ways, and compares."""
    rng = random.Random(seed + 1)
    report = Report(seed)
    functors.MET = []
    plan, inline = _run(seed, None, inline=True)
    met, functors.MET = functors.MET, None
    fatal = None
    # Two workers that do the same might both meet it; what ends a loop early, ends it at any time.
    met = [one for one in met if not one[0].startswith("shared")]
    if met and not plan.tight and inline.failure is None and rng.random() < 0.4:
        fatal = (*rng.choice(met), rng.choice(HOW))
        if fatal[0].startswith("round") and fatal[2] == "sentinel":
            fatal = (*fatal[:2], "raise")
        plan, inline = _run(seed, fatal, inline=True)
    _, processes = _run(seed, fatal, inline=False)
    report.plan = f"{' '.join(plan.words)} fatal={fatal}"
    report.failure = inline.failure
    report.items = sum(map(len, inline.ends.values()))
    report.letters = inline.letters.total()
    report.differences = list(_differences(plan, inline, processes))
    return report


def _differences(plan: Plan, inline: Outcome, processes: Outcome) -> Any:
    if inline.failure != processes.failure:
        yield (
            f"failure: inline {inline.failure} ({inline.said}), processes {processes.failure} "
            + (f"({processes.said})")
        )
        return
    if inline.failure is not None:
        if inline.failure[0] in ("FatalError", "FunctorError") and inline.said != processes.said:
            yield f"failure: inline says {inline.said!r}, processes {processes.said!r}"
        of_it = [letters.keys() for letters in (_of(inline), _of(processes))]
        if of_it[0] != of_it[1]:
            yield f"the letter of the failure: inline {of_it[0]}, processes {of_it[1]}"
        return
    for end in plan.ends:
        one, other = inline.ends[end.name], processes.ends[end.name]
        if differ := _between(Counter(one), Counter(other)):
            yield f"end {end.name!r}: {differ}"
        elif end.ordered and one != other:
            at = next(i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
            yield f"end {end.name!r}: another order from the item {at} on"
    if differ := _between(_late(plan, inline), _late(plan, processes)):
        yield f"letters: {differ}"
    names = inline.results.keys() | processes.results.keys()
    if any(inline.results.get(n) != processes.results.get(n) for n in names - plan.early):
        yield f"results: inline {inline.results}, processes {processes.results}"
    for name, one_count in inline.counts.items():
        if name not in plan.early and one_count != processes.counts[name]:
            yield f"counts of {name}: inline {one_count}, processes {processes.counts[name]}"


def _between(inline: Counter[Any], processes: Counter[Any]) -> str:
    only = [(inline - processes), (processes - inline)]
    words = [
        f"{each.total()} only {where} {list(each)[:2]}"
        for each, where in zip(only, ("inline", "in processes"), strict=True)
        if each
    ]
    return "; ".join(words)


def _late(plan: Plan, outcome: Outcome) -> Counter[tuple[str, ...]]:
    """The letters of segments that go on to the end."""
    return Counter({key: n for key, n in outcome.letters.items() if key[0] not in plan.early})


def _of(outcome: Outcome) -> Counter[tuple[str, ...]]:
    """The letter of what has ended the run."""
    kind = outcome.failure[0] if outcome.failure is not None else ""
    return Counter({key: n for key, n in outcome.letters.items() if key[1] == kind})


def _run(seed: int, fatal: Any, *, inline: bool) -> tuple[Plan, Outcome]:
    place = tempfile.mkdtemp(prefix="differential-")
    plan = Plan(seed, place, fatal)
    outcome = Outcome()
    try:
        try:
            pline = plan.pipeline().build(inline=inline)
        except mp.BuildError as error:  # not every graph can be told what belongs together
            outcome.failure = "BuildError", str(error)
            return plan, outcome
        read: list[str] = []
        results = {}
        try:
            pline.run(seed=seed)
            if any(not end.name for end in plan.ends):
                read += map(text, pline)
            results = pline.close(LIMIT_S)
        except Exception as error:
            outcome.failure = type(error).__name__, _segment_of(error)
            outcome.said = str(error)
        finally:
            pline.stop()
        _note(outcome, plan, pline, read, results)
    finally:
        shutil.rmtree(place)
    return plan, outcome


def _segment_of(error: BaseException) -> str:
    said = " ".join([*getattr(error, "__notes__", ()), str(error)])
    found = re.search(r"segment '([^']*)'|(?:transform|sink|regulator|source) '([^']*)'", said)
    return "" if found is None else found[1] or found[2]


def _note(
    outcome: Outcome, plan: Plan, pline: Pipeline, read: list[str], results: dict[str, Any]
) -> None:
    merged: dict[str, list[Any]] = defaultdict(list)
    for name, result in results.items():
        merged[_segment(name.split("/")[0])].append(result)
    for end in plan.ends:
        if not end.name:
            outcome.ends[""] = read
        elif end.path:
            outcome.ends[end.name] = _lines(end.path)
        else:
            outcome.ends[end.name] = [one for kept in merged.pop(end.name, []) for one in kept]
    outcome.results = {name: sum(counts) for name, counts in merged.items()}
    if os.path.exists(plan.letters):
        outcome.letters = Counter(
            (
                _segment(letter.segment),
                letter.error,
                letter.text,
                _text_of(letter),
                _identity_of(letter) if letter.segment in plan.named else "",
            )
            for letter in letters_in(plan.letters)
        )
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for worker in pline.stats().workers:
        of_segment = counts[_segment(worker.segment)]
        for i, count in enumerate((worker.items_in, worker.items_out, worker.dropped)):
            of_segment[i] += count
    outcome.counts = {name: (a, b, c) for name, (a, b, c) in counts.items()}


def _text_of(letter: DeadLetterRecord) -> str:
    try:
        return text(letter.item(allow_pickle=True))
    except DeadLetterError as error:
        return str(error)


def _identity_of(letter: DeadLetterRecord) -> str:
    return f"item {letter.number} of {letter.origin!r} by {tuple(letter.path)}"


def _segment(name: str) -> str:
    """What to compare by: nobody knows which of two that do the same has got an item."""
    return "shared" if name.startswith("shared") else name


def _lines(path: str) -> list[str]:
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return file.read().splitlines()
