"""What the job prints about itself: what it will do, and how that went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from minipipe.demo.baseline import Baseline
from minipipe.demo.digits import CHUNK_IMAGES, ROW_BYTES
from minipipe.demo.functors import MODELS, Training
from minipipe.demo.pipeline import (
    BATCH_ROWS,
    SHUFFLE_ROWS,
    WORKING_BYTES,
    held_rows,
    memory_limit_bytes,
    processes,
)
from minipipe.errors import MissingExtraError
from minipipe.pipeline.compare import compare_timelines
from minipipe.pipeline.line import PipeLine
from minipipe.protocol.run.stats import RunStats, WorkerStats

MIB = 2**20


def say(text: str) -> None:
    """Prints `text`, in order with what the workers print, also into a pipe."""
    print(text, flush=True)


def describe(workers: int, chunks: int) -> None:
    """Prints the pipeline and its bound of memory."""
    models = len(MODELS)
    decoded_mib = chunks * CHUNK_IMAGES * ROW_BYTES / MIB
    limit_mib = memory_limit_bytes(workers, models) / MIB
    fits = "" if decoded_mib > limit_mib else " (so few would fit)"
    say(
        f"pipeline  Files -> {workers} x Augment (decode, distort) -> Rebatch "
        f"({BATCH_ROWS} drawn from {BATCH_ROWS + SHUFFLE_ROWS})\n"
        f"          -> Broadcast to {models} x Train (a network each, SGD)\n"
        f"memory    {decoded_mib:.0f} MiB of decoded digits{fits} go through at most "
        f"{limit_mib:.0f} MiB:\n"
        f"          {held_rows(workers, models) * ROW_BYTES / MIB:.0f} MiB of them anywhere at "
        f"once, and {WORKING_BYTES // MIB} MiB to work with\n"
        f"          for each of {processes(workers, models)} processes"
    )


def report_models(
    trainings: Mapping[str, Training], reference: Mapping[str, Training] | None
) -> None:
    """Prints the table of the models."""
    best = max(MODELS, key=lambda model: trainings[model.name].accuracy)
    say("\nhidden units  learning rate  test accuracy" + ("  in one process" if reference else ""))
    for model in MODELS:
        row = f"{model.hidden:12}  {model.rate:13g}  {trainings[model.name].accuracy:13.1%}"
        if reference:
            row += f"  {reference[model.name].accuracy:14.1%}"
        say(row + ("  best" if model is best else ""))


def report_items(stats: RunStats) -> None:
    """Prints what went through every segment; the models, which all do the same, on one line."""
    names = list(dict.fromkeys(worker.segment for worker in stats.workers))
    models = [name for name in names if "/" in name]
    shared = [_passed(name, stats.segment(name)) for name in names if name not in models]
    each = " + ".join(str(sum(w.items_in for w in stats.segment(name))) for name in models)
    say(f"\nitems          {'; '.join(shared)};\n               the {len(models)} Train {each} in")


def _passed(name: str, workers: Sequence[WorkerStats]) -> str:
    """What went through a segment, and through each of its workers if it has several."""
    items_in, items_out = sum(w.items_in for w in workers), sum(w.items_out for w in workers)
    words = [f"{items_in} in"] if items_in else []
    words += [f"{items_out} out"] if items_out else []
    each = f" ({' + '.join(str(w.items_in) for w in workers)})" if len(workers) > 1 else ""
    return f"{name} {', '.join(words)}{each}"


def report_memory(peak_bytes: int | None, workers: int) -> bool:
    """Prints the peak; False if it was over the limit."""
    limit_bytes = memory_limit_bytes(workers, len(MODELS))
    if peak_bytes is None:
        say("memory         not measured (that takes Linux's /proc/PID/smaps_rollup)")
        return True
    kept = peak_bytes <= limit_bytes
    verdict = "within" if kept else "OVER"
    say(f"memory         peak {peak_bytes / MIB:.0f} MiB, {verdict} {limit_bytes / MIB:.0f} MiB")
    return kept


def report_time(took_s: float, startup_s: float | None) -> None:
    """Prints how long it took."""
    startup = "" if startup_s is None else f", {startup_s:.1f} s of it to start and to import"
    say(f"time           {took_s:.1f} s{startup}")


def report_speedup(
    took_s: float, startup_s: float | None, baseline: Baseline, workers: int, cores: int
) -> None:
    """Prints how much quicker it was than in one process, and what would have been ideal."""
    speedup = baseline.took_s / took_s
    ideal = baseline.ideal_speedup(workers, cores)
    flowing = ""
    if startup_s is not None:
        flowing = f" ({baseline.took_s / (took_s - startup_s) / ideal:.0%} without the start)"
    trains = " + ".join(f"{train_s:.1f}" for train_s in baseline.train_s)
    say(
        f"in one process {baseline.took_s:.1f} s\n"
        f"speed-up       {speedup:.2f} on {cores} cores, {speedup / ideal:.0%} of the ideal "
        f"{ideal:.2f}{flowing}\n"
        f"ideal          the work in one process, {baseline.work_s:.1f} s, by the largest of: "
        f"Augment's {baseline.augment_s:.1f} s / {workers},\n"
        f"               Rebatch's {baseline.rebatch_s:.1f} s, the longest Train of {trains} s,\n"
        f"               all of it / {cores} cores"
    )


def report_sameness(runs: Sequence[Mapping[str, Training]], rows: int) -> bool:
    """Prints whether all models of all runs were trained on the same digits; False if not."""
    marks = [[training.fingerprint for training in run.values()] for run in runs]
    same = {(mark.rows, mark.content) for run in marks for mark in run}
    each_once = len(same) == 1 and next(iter(same))[0] == rows
    in_order = all(len({mark.order for mark in run}) == 1 for run in marks)
    verdict = "have" if each_once else "HAVE NOT"
    order = "in the same order" if in_order else "NOT IN THE SAME ORDER"
    models = f"all {len(marks[0])} models" + (" of both runs" if len(runs) > 1 else "")
    say(
        f"same data      {models} {verdict} trained on the same {rows:,} digits, bit by bit,\n"
        f"               each once, and the models of a run {order}"
    )
    return each_once and in_order


def report_files(folder: Path, pline: PipeLine, baseline: PipeLine | None) -> None:
    """Writes the page about the run, and the picture of both; prints where, and the verdict."""
    say(f"\nreport         {pline.report(folder / 'minipipe-demo.html')}")
    runs = {} if baseline is None else {"in one process": baseline}
    try:
        picture = compare_timelines(folder / "minipipe-demo.png", {**runs, "MiniPipe": pline})
        say(f"timeline       {picture}")
    except MissingExtraError as error:
        say(f"timeline       no picture: {error}")
    say(f"verdict        {pline.verdict() or 'nothing stands out as the bottleneck'}")
