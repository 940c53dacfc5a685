"""One pipeline under fire: run, hit at random, and held to the contract item by item."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections import Counter
from typing import Any

import minipipe as mp
from minipipe.dead_letters.reading import letters_in
from tests.chaos.cargo import KINDS
from tests.chaos.fire import Elsewhere, Fire, Pipeline, Report
from tests.chaos.plan import End, Plan

LIMIT_S = 180.0  # a run that takes longer hangs (workers that import torch begin late)
# A function sink confirms every 10 ms of its time what it has finished; it may be stopped between.
UNCONFIRMED_S = 0.5


def trial(seed: int, faults: int, elsewhere: Elsewhere | None = None) -> Report:
    """Draws a pipeline, runs it under fire, and looks at what came of every item.

    Args:
        elsewhere: its other machines, if it has any.
    """
    place = tempfile.mkdtemp(prefix="chaos-")
    rng = random.Random(seed)
    plan = Plan(rng, place)
    options: dict[str, Any] = {}
    if elsewhere is not None:
        plan.places = elsewhere.place
        # Whoever takes a place would import torch: the machine would do little else.
        plan.kinds = [kind for kind in KINDS if kind != "tensors"]
    pline = plan.pipeline()
    if elsewhere is not None:
        options = elsewhere.options(plan)
    report = Report(seed, " ".join(plan.words))
    fire = Fire(pline, plan, report, faults, elsewhere)
    try:
        pline.run(shared_bytes=plan.shared_bytes, **options)
        if elsewhere is not None:
            assert pline.token is not None
            elsewhere.begin(pline.token)
        fire.start()
        read: list[int] = []
        if plan.reads is not None:
            read = _read(pline)
        results = pline.close(LIMIT_S)
    except mp.RunTimeoutError as error:
        report.wrong.append(f"hang: {error}")
        results = {}
    except BaseException as error:
        report.wrong.append(f"{type(error).__name__}: {error}")
        results = {}
    finally:
        fire.ending.set()
        if elsewhere is not None and report.wrong:
            report.wrong += elsewhere.wrong()
        pline.stop()
        fire.join()
    unconfirmed_s = UNCONFIRMED_S
    if elsewhere is not None:
        report.wrong += elsewhere.end()
        report.cuts = elsewhere.cuts
        unconfirmed_s += elsewhere.longest_s
    dead = {worker.pid for worker in pline.stats().workers if worker.state == "died"}
    report.deaths = len(dead)
    lost = _set_aside(plan)
    report.set_aside = len(lost)
    report.faults["exception"] = _skipped(plan)
    report.faults["os._exit"] = sum(
        len(os.listdir(path))
        for name in plan.mortal
        if os.path.isdir(path := os.path.join(place, name))
    )
    report.faults["memory refused"] += plan.shared_bytes is not None
    if not report.wrong:
        if spared := plan.poison - lost:
            report.wrong.append(f"not set aside: {sorted(spared)[:9]}")
        came = [
            (
                end,
                [_written(report, end, dead, unconfirmed_s)]
                if end.path
                else _workers_of(end, results),
            )
            for end in plan.ends
        ]
        came += [(plan.reads, [read])] if plan.reads is not None else []
        for end, got in came:
            _judge(report, end, got, lost)
        alone = _inline(report, plan.kinds)
        for end, got in came:
            if end.name in alone:
                _compare(report, end.name, got, alone[end.name], lost)
    shutil.rmtree(place)
    return report


def _inline(report: Report, kinds: list[str]) -> dict[str, list[int]]:
    """What comes to each end of the same pipeline, run without processes and without deaths."""
    place = tempfile.mkdtemp(prefix="chaos-")
    plan = Plan(random.Random(report.seed), place, peaceful=True, kinds=kinds)
    pline = plan.pipeline()
    found: dict[str, list[int]] = {}
    try:
        pline.build(inline=True)
        pline.run()
        if plan.reads is not None:
            found[plan.reads.name] = _read(pline)
        results = pline.close(LIMIT_S)
        for end in plan.ends:
            if end.path:
                found[end.name] = _written(report, end, set(), 0.0)
            else:
                by_worker = [
                    keys for name, keys in results.items() if name.split("/")[0] == end.name
                ]
                found[end.name] = [key for keys in by_worker for key in keys]
    except BaseException as error:
        report.wrong.append(f"inline: {type(error).__name__}: {error}")
    finally:
        shutil.rmtree(place)
    for end in [*plan.ends, *([] if plan.reads is None else [plan.reads])]:
        if end.name in found and sorted(found[end.name]) != end.keys:
            beyond = Counter(found[end.name]) - Counter(end.keys)
            lost = set(end.keys) - set(found[end.name])
            report.wrong.append(f"{end.name}: inline: beyond {beyond}, lost {sorted(lost)[:9]}")
    return found


def _compare(
    report: Report, name: str, got: list[list[int]], alone: list[int], set_aside: set[int]
) -> None:
    """Holds what came under fire to what comes without, but for what may be left out."""
    found = {key for keys in got for key in keys}
    if differ := (found ^ set(alone)) - set_aside:
        report.wrong.append(f"{name}: under fire and inline differ in {sorted(differ)[:9]}")


def _read(pline: Pipeline) -> list[int]:
    keys = []
    until_s = time.monotonic() + LIMIT_S
    for item in pline:
        keys.append(item[0])
        if time.monotonic() > until_s:
            raise mp.RunTimeoutError("the loop does not end")
    return keys


def _set_aside(plan: Plan) -> set[int]:
    """The items that were named as poison: killed at by chance at two deaths."""
    if not os.path.exists(plan.letters):
        return set()
    return {
        letter.item(allow_pickle=True)[0]
        for letter in letters_in(plan.letters)
        if letter.error == "PoisonError"
    }


def _skipped(plan: Plan) -> int:
    if not os.path.exists(plan.letters):
        return 0
    return sum(letter.error == "ValueError" for letter in letters_in(plan.letters))


def _workers_of(end: End, results: dict[str, Any]) -> list[list[int]]:
    names = [end.name] if end.workers == 1 else [f"{end.name}/{i}" for i in range(end.workers)]
    return [results.get(name, []) for name in names]


def _written(report: Report, end: End, dead: set[int], unconfirmed_s: float) -> list[int]:
    """What a function sink has done, less what its dead workers may have done in vain."""
    if not os.path.exists(end.path):
        return []
    with open(end.path) as file:
        lines = [(int(key), int(pid), float(at_s)) for key, pid, at_s in map(str.split, file)]
    last_s = {pid: at_s for _, pid, at_s in lines}
    counts = Counter(key for key, _, _ in lines)
    for key, pid, at_s in lines:
        if counts[key] > 1 and pid in dead and at_s >= last_s[pid] - unconfirmed_s:
            counts[key] -= 1
            report.repeated += 1
    return list(counts.elements())


def _judge(report: Report, end: End, got: list[list[int]], set_aside: set[int]) -> None:
    found = Counter(key for keys in got for key in keys)
    report.items += sum(found.values())
    lost = set(end.keys) - set(found) - set_aside
    strange = set(found) - set(end.keys)
    again = {key: n for key, n in found.items() if n > 1}
    if lost:
        report.wrong.append(f"{end.name}: lost {sorted(lost)[:9]}")
    if strange:
        report.wrong.append(f"{end.name}: strange {sorted(strange)[:9]}")
    if again:
        report.wrong.append(f"{end.name}: repeated {sorted(again)[:9]}")
    if end.ordered and any(keys != sorted(keys) for keys in got):
        report.wrong.append(f"{end.name}: out of order")
