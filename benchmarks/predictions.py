"""The verdict held to its word: what it says would help is done, and the gain compared.

    python -m benchmarks predictions

Eleven pipelines whose bottleneck is known.  Each runs, is asked for its verdict, is changed as that
says (so many workers; less work in the Source, or in the loop; more workers, where the machine is
said to be full), and runs again, in pairs.  The gain is that of the rate in the middle of the run,
without the start of processes and the tail.  Most of them wait instead of computing, as a fetch
from a store or a step on a GPU does: on a machine that is busy with other things, what computes
says more of those.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import minipipe as mp
from benchmarks.row import Row
from minipipe.observe.verdict import Verdict
from tests.hosts.agents import Agents, port_of
from tests.hosts.proxy import Proxy

WITHIN, ENOUGH = 0.2, 9
PAIRS = 2
RESULTS = Path(__file__).parent / "results" / "verdicts.md"
MIDDLE = 0.15, 0.9  # of the items: the rate is taken between these
LONG_S = 2.5  # a run takes about so long


@dataclass(frozen=True)
class Step:
    """A segment that is known: what an item costs it."""

    name: str
    wait_s: float = 0.0
    compute_s: float = 0.0
    workers: int = 1
    is_even: bool = True  # else waits are drawn (exponentially), with this mean

    @property
    def item_s(self) -> float:
        return (self.wait_s + self.compute_s) / self.workers

    def work(self, item: Any) -> Any:
        """What its functor does."""
        if self.wait_s:
            draw = 1.0 if self.is_even else random.expovariate(1.0)
            time.sleep(self.wait_s * draw)
        if self.compute_s:
            until_s = time.thread_time() + self.compute_s
            while time.thread_time() < until_s:
                pass
        return item


@dataclass(frozen=True)
class Case:
    """A pipeline: its Source first, the caller's loop last."""

    name: str
    steps: tuple[Step, ...]
    item_bytes: int = 8
    link_bytes_s: float = 0.0  # its Transforms are on another machine, behind such a link

    def items(self) -> int:
        """As many as it needs to run for a while."""
        sent_s = self.item_bytes / self.link_bytes_s if self.link_bytes_s else 0.0
        return max(60, int(LONG_S / max(sent_s, *(step.item_s for step in self.steps))))

    def changed(self, found: Verdict | None) -> Case:
        """What its verdict says would help; if nothing, more workers for who works most."""
        most = max(self.steps[1:-1], key=lambda step: step.item_s)
        name = found.bottleneck if found is not None and found.bottleneck else most.name
        steps = []
        for step in self.steps:
            if step.name != name:
                steps.append(step)
            elif found is not None and found.workers is not None:
                steps.append(replace(step, workers=found.workers))
            elif step in (self.steps[0], self.steps[-1]):
                steps.append(replace(step, wait_s=0.0, compute_s=0.0))
            else:
                steps.append(replace(step, workers=2 * step.workers))
        return replace(self, steps=tuple(steps))


# By the seconds that an item takes; `load` is the Source, (caller) the loop, as verdicts call it.
CASES = (
    Case("one worker waits", (Step("load", 0.002), Step("f", 0.02), Step("(caller)", 0.005))),
    Case("two workers wait", (Step("load", 0.002), Step("f", 0.03, 0, 2), Step("(caller)", 0.006))),
    Case(
        "the second of two Transforms",
        (Step("load", 0.001), Step("f", 0.01), Step("g", 0.025), Step("(caller)", 0.002)),
    ),
    Case(
        "more processes than cores",
        (Step("load", 0.002), Step("f", 0.09, 0, 6), Step("(caller)", 0.006)),
    ),
    Case("a slow Source", (Step("load", 0.02), Step("f", 0.005), Step("(caller)", 0.001))),
    Case("a slow loop", (Step("load", 0.002), Step("f", 0.006), Step("(caller)", 0.02))),
    Case(
        "uneven waits",
        (Step("load", 0.002), Step("f", 0.015, is_even=False), Step("(caller)", 0.005)),
    ),
    Case(
        "waits behind a little computing",
        (Step("load", 0.001), Step("f", 0.003, 0.003), Step("g", 0.02), Step("(caller)", 0.001)),
    ),
    Case("one worker computes", (Step("load", 0.001), Step("f", 0, 0.02), Step("(caller)", 0.002))),
    Case(
        "more workers that compute than cores",
        (Step("load", 0.001), Step("f", 0, 0.02, 4), Step("(caller)", 0.002)),
    ),
    Case(
        "a slow link",
        (Step("load", 0.002), Step("f", 0.005), Step("(caller)", 0.001)),
        item_bytes=60_000,
        link_bytes_s=1.5e6,
    ),
)


@dataclass(frozen=True)
class Outcome:
    """What was said, and what came of it."""

    case: Case
    verdict: Verdict | None
    gain: float

    @property
    def said(self) -> float:
        """The gain that was promised; 1: none."""
        return 1.0 if self.verdict is None else self.verdict.gain

    @property
    def is_true(self) -> bool:
        return abs(self.gain / self.said - 1) <= WITHIN

    @property
    def line(self) -> str:
        """A row in Markdown."""
        mark = "ok" if self.is_true else "MISSED"
        text = "nothing" if self.verdict is None else str(self.verdict)
        return f"| {self.case.name} | {self.said:.2f} | {self.gain:.2f} | {mark} | {text} |"


def source(step: Step, items: int, size_bytes: int) -> Iterator[bytes]:
    for _ in range(items):
        yield step.work(bytes(size_bytes))


@contextmanager
def elsewhere(token: str, bytes_s: float) -> Iterator[None]:
    """Another machine joins, which is this one once more, by a link that carries so much."""
    proxy = Proxy(port_of(token))
    proxy.bytes_per_s = bytes_s
    try:
        with Agents() as agents:
            agents.join(token, "--slots", "8", port=proxy.port).says("has joined")
            yield
    finally:
        proxy.close()


def run(case: Case) -> tuple[float, Verdict | None]:
    """Items a second in the middle of a run, and what it says of itself."""
    first, *middle, last = case.steps
    items = case.items()
    made = partial(source, first, items, case.item_bytes)
    pline = mp.PipeLine([mp.Source(made, first.name)])
    on = "far" if case.link_bytes_s else None
    for step in middle:
        pline.add(mp.Transform(step.work, step.name, n_processes=step.workers, on=on))
    pline.build(log_lvl="WARNING")
    times = []
    with ExitStack() as stack:
        if on is not None:
            pline.run(bind="tcp://127.0.0.1:0")
            stack.enter_context(elsewhere(str(pline.token), case.link_bytes_s))
        for item in pline:
            last.work(item)
            times.append(time.monotonic())
    begin, end = (int(share * items) for share in MIDDLE)
    return (end - begin) / (times[end] - times[begin]), pline.verdict()


def outcome_of(case: Case, pairs: int = PAIRS) -> Outcome:
    """Asks the first run, and does what it says."""
    rate, found = run(case)
    other = case.changed(found)
    gains = [run(other)[0] / rate]
    for _ in range(pairs - 1):
        changed = run(other)[0]
        gains.append(changed / run(case)[0])
    return Outcome(case, found, statistics.mean(gains))


def rows(*, save: bool = False, head: str = "") -> list[Row]:
    """How many of the verdicts came true; each of them is printed, too.

    Args:
        save: write down all of them.
        head: what goes above those.
    """
    lines = ["| pipeline | said | came | | verdict |", "|---|---|---|---|---|"]
    outcomes = []
    for case in CASES:
        outcomes.append(outcome_of(case))
        lines.append(outcomes[-1].line)
        print(lines[-1], file=sys.stderr, flush=True)
    if save:
        RESULTS.write_text("\n".join([head, "", *lines]) + "\n")
    return [row_of(outcomes)]


def row_of(outcomes: Sequence[Outcome]) -> Row:
    """The row for the table of all benchmarks."""
    true = sum(one.is_true for one in outcomes)
    return Row(
        f"gain within {WITHIN:.0%} of what the verdict said, {len(outcomes)} pipelines",
        f"{true} of them",
        ", ".join(f"{one.said:.1f}: {one.gain:.1f}" for one in outcomes),
        true,
        "",
        ENOUGH,
        None,
        larger_is_better=True,
    )
