"""`minipipe top`: the runs of this user on this machine, watched from outside."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from minipipe.command.failures import WRONG
from minipipe.command.runs import Found, find_runs
from minipipe.command.saying import hear_no_more
from minipipe.observe import plain
from minipipe.observe.progress import Progress, Sight, duration

if TYPE_CHECKING:
    from minipipe.observe.live import LiveView

NONE = (
    "no run of yours is on, on this machine (those of other users and inline ones are not listed)"
)


def main(arguments: argparse.Namespace) -> int:
    """Shows runs; returns the exit code."""
    try:
        return _show(arguments)
    except KeyboardInterrupt:
        return 0  # how one leaves it
    except BrokenPipeError:  # `minipipe top | head`
        hear_no_more()
        return 0


def _show(arguments: argparse.Namespace) -> int:
    runs = find_runs()
    if arguments.run is not None:
        chosen = choose(runs, arguments.run)
        if len(chosen) != 1:
            return _not_one(chosen, runs, arguments.run)
        runs = chosen
    if arguments.json:
        print(json.dumps([for_programs(run) for run in runs], indent=2))
    if not runs:
        _complain(NONE)
        return 1
    if arguments.json:
        return 0
    if arguments.once:
        for i, run in enumerate(runs):
            print(*([""] if i else []), *whole(run, Follower(), _width()), sep="\n")
        return 0
    if len(runs) == 1 and runs[0].bulletin is None:
        _complain(head(runs[0]))
        return 1
    watch(runs, arguments.every)
    return 0


def choose(runs: Iterable[Found], wish: str) -> list[Found]:
    """The runs that are meant by a pid, or by a name of the list."""
    return [run for run in runs if wish in (run.ident, str(run.pid))]


def _not_one(chosen: Sequence[Found], runs: Sequence[Found], wish: str) -> int:
    if chosen:
        names = " or ".join(run.ident for run in chosen)
        _complain(f"process {wish} has {len(chosen)} runs: name one of them, {names}")
        return WRONG
    if not runs:
        _complain(f"there is no run {wish!r}: {NONE}")
        return 1
    there = ", ".join(f"{run.pid} ({program(run)})" for run in runs)
    _complain(f"there is no run {wish!r} of yours that is on; there are: {there}")
    return 1


def _complain(text: str) -> None:
    print(f"minipipe top: {text}", file=sys.stderr)


def _width() -> int:
    return shutil.get_terminal_size((80, 24)).columns


class Follower:
    """Follows runs from look to look, so that rates are of the last seconds."""

    def __init__(self) -> None:
        self._progress: dict[str, tuple[tuple[str, ...], Progress]] = {}

    def look(self, run: Found) -> Sight | None:
        """How far a run is; None: it does not answer."""
        told = run.bulletin
        if told is None:
            return None
        segments = tuple(fact.name for fact in told.facts)
        known = self._progress.get(run.ident)
        if known is None or known[0] != segments:  # another run might have got its name
            known = self._progress[run.ident] = segments, Progress(told.total)
        return known[1].look(told.loads(), told.stats.seconds)


# ------------------------------------------------------------------ in words
def program(run: Found) -> str:
    """What a run is called in lists."""
    if run.bulletin is None:
        return "?"
    script = run.bulletin.script
    return os.path.basename(script) if os.path.isabs(script) else script


def head(run: Found) -> str:
    """A run in a line."""
    told = run.bulletin
    if told is None:
        who = f"process {run.pid}" if run.pid else f"run {run.ident}"
        return f"{who} does not answer: it is stopped (SIGSTOP), or of another version"
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(told.began_at))
    lasted = duration(told.stats.seconds)
    return (
        f"{program(run)}, pid {run.pid or told.pid}, {told.stats.state} for {lasted}, since {began}"
    )


def whole(run: Found, follower: Follower, width: int) -> list[str]:
    """All that is shown of a run, in lines."""
    sight = follower.look(run)
    lines = [plain.visible(head(run))]
    if sight is not None and run.bulletin is not None:
        lines += plain.of_run(sight, run.bulletin.verdict, width)
    return lines


def for_programs(run: Found) -> dict[str, Any]:
    """The same for other programs."""
    made: dict[str, Any] = {"run": run.ident, "pid": run.pid, "answers": run.bulletin is not None}
    told = run.bulletin
    sight = Follower().look(run)
    if told is None or sight is None:
        return made
    made |= {"script": told.script, "began_at": told.began_at, "state": told.stats.state}
    made |= plain.as_dict(sight)
    workers = [asdict(worker) for worker in told.stats.workers]
    return made | {"verdict": told.verdict, "workers": workers}


# ------------------------------------------------------------------ all the time
def watch(runs: Sequence[Found], every_s: float) -> None:
    """Shows one run, or a list of several, until there is none any more.

    A list stays one, so that nothing jumps when all but one have ended.
    """
    follower, view = Follower(), _view()
    names = {run.ident for run in runs}
    attached = runs[0] if len(runs) == 1 else None
    shown: list[str] = []
    try:
        while runs:
            lines = _lines(runs, attached, follower)
            told = runs[0].bulletin
            if view is None:
                print(*([""] if shown else []), *lines, sep="\n", flush=True)
            elif attached is not None and told is not None and (s := follower.look(runs[0])):
                view.show(s, told.verdict)
            else:
                view.show_lines(lines)
            shown = lines
            time.sleep(every_s)
            runs = find_runs()
            if attached is not None:
                runs = [run for run in runs if run.ident in names]
    finally:
        if view is not None:
            view.end()
            print(*shown, sep="\n")
    print(f"{program(attached)} has ended" if attached is not None else "all runs have ended")


def _lines(runs: Sequence[Found], attached: Found | None, follower: Follower) -> list[str]:
    width = _width()
    if attached is not None:
        return whole(runs[0], follower, width)
    seen = [(run.ident, run.pid, program(run), follower.look(run)) for run in runs]
    return [*plain.of_runs(seen, width), "minipipe top PID shows one of them"]


def _view() -> LiveView | None:
    """What draws on the terminal; None: it cannot be drawn on, or rich is not installed."""
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return None
    try:
        from minipipe.observe.live import LiveView

        return LiveView(sys.stdout)
    except ImportError:
        return None
