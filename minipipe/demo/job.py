"""`minipipe demo`: does the job, and says what it does and how well it went."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from minipipe.demo.baseline import Baseline, run_inline
from minipipe.demo.digits import CHUNK_IMAGES, DECODED_BYTES, Digits, load_split, write_chunks
from minipipe.demo.functors import Trainer, Training
from minipipe.demo.memory import MemoryWatch
from minipipe.demo.pipeline import (
    HELD_BY_TRAINER,
    HELD_BY_WORKER,
    WAITING,
    WORKING_BYTES,
    default_workers,
    held_chunks,
    memory_limit_bytes,
    training_pipeline,
    usable_cores,
)
from minipipe.pure.stats import RunStats

CHUNKS = 176  # about half a minute on two cores, one of the runs in one process
# Not "minipipe-...": such directories belong to runs, which sweep up those of dead ones.
PREFIX = "digits-minipipe-"
MIB = 2**20
INTERRUPTED = 130  # 128 + SIGINT, as a shell has it


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job; returns the exit code: 1 if it cannot run, or a promise was not kept."""
    options = _options(argv)
    try:
        if not _has_sklearn():
            print(
                "minipipe demo needs scikit-learn: pip install '.[demo]' in the clone of MiniPipe",
                file=sys.stderr,
            )
            return 1
        with tempfile.TemporaryDirectory(prefix=PREFIX) as directory:
            return _run(Path(directory), options.workers, options.chunks, options.baseline)
    except KeyboardInterrupt:
        print("minipipe demo: interrupted, nothing is left of it", file=sys.stderr)
        return INTERRUPTED


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="minipipe demo",
        description="Train on handwritten digits that are streamed from disk, in processes and "
        "in one process, and compare.",
    )
    parser.add_argument(
        "--workers",
        type=_positive,
        default=default_workers(usable_cores()),
        metavar="N",
        help="processes that decode and augment (here: %(default)s)",
    )
    parser.add_argument(
        "--chunks",
        type=_positive,
        default=CHUNKS,
        metavar="N",
        help=f"files of {CHUNK_IMAGES} digits to train on (%(default)s)",
    )
    parser.add_argument(
        "--no-baseline",
        dest="baseline",
        action="store_false",
        help="leave out the same job in one process",
    )
    return parser.parse_args(argv)


def _has_sklearn() -> bool:
    try:
        import sklearn  # noqa: F401 - only to know it early
    except ModuleNotFoundError:
        return False
    return True


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {number}")
    return number


def _run(directory: Path, workers: int, chunks: int, with_baseline: bool) -> int:
    cores = usable_cores()
    digits, files = _prepare(directory, chunks)
    _describe(workers, chunks)

    _say(f"\nin {workers + 2} processes on {cores} cores:")
    pline = training_pipeline(files, Trainer(digits, chunks), workers).build("WARNING")
    began_s = time.perf_counter()
    pline.run()
    with MemoryWatch(pline) as watch:
        training: Training = pline.close()["Train"]
    took_s = time.perf_counter() - began_s

    baseline = None
    if with_baseline:
        _say("\nthe same files and functors in one process, build(inline=True):")
        baseline = run_inline(files, digits)

    _say(f"\ntest accuracy  {training.accuracy:.1%} (on digits that no training has seen)")
    _say(f"items          {_items(pline.stats())}")
    kept = _report_memory(watch.peak_bytes, workers)
    _report_time(took_s, watch.startup_s)
    if baseline is not None:
        _report_speedup(took_s, watch.startup_s, baseline, workers, cores)
        kept &= _report_sameness(training, baseline.training)
    return 0 if kept else 1


def _prepare(directory: Path, chunks: int) -> tuple[Digits, list[str]]:
    digits = load_split()
    _say("MiniPipe trains a network on handwritten digits that are streamed from disk")
    began_s = time.perf_counter()
    files = write_chunks(digits, directory, chunks)
    size_mib = sum(Path(name).stat().st_size for name in files) / MIB
    _say(
        f"data      {len(digits.train_images)} digits to train on, {len(digits.test_images)} to "
        "test with (as they are, never trained on)\n"
        f"files     {chunks} with {CHUNK_IMAGES} randomly shifted train digits each, "
        f"{size_mib:.0f} MiB compressed (written in {time.perf_counter() - began_s:.1f} s)"
    )
    return digits, files


def _describe(workers: int, chunks: int) -> None:
    decoded_mib = chunks * DECODED_BYTES / MIB
    limit_mib = memory_limit_bytes(workers) / MIB
    fits = "" if decoded_mib > limit_mib else " (so few would fit)"
    _say(
        f"pipeline  Files -> {workers} x Augment (decode, distort) -> Train (a network, SGD)\n"
        f"memory    {decoded_mib:.0f} MiB of decoded digits{fits} go through at most "
        f"{limit_mib:.0f} MiB: {held_chunks(workers)} chunks\n"
        f"          of {DECODED_BYTES / MIB:.1f} MiB ({workers} x ({HELD_BY_WORKER} at the worker "
        f"+ {WAITING} waiting) + {HELD_BY_TRAINER} in training) and\n"
        f"          {WORKING_BYTES // MIB} MiB to work with for each of {workers + 2} processes"
    )


def _items(stats: RunStats) -> str:
    """What went through every segment, and through each of its workers if it has several."""
    parts = []
    for name in dict.fromkeys(worker.segment for worker in stats.workers):
        workers = stats.segment(name)
        items_in, items_out = sum(w.items_in for w in workers), sum(w.items_out for w in workers)
        words = [f"{items_in} in"] if items_in else []
        words += [f"{items_out} out"] if items_out else []
        each = f" ({' + '.join(str(w.items_in) for w in workers)})" if len(workers) > 1 else ""
        parts.append(f"{name} {', '.join(words)}{each}")
    return "; ".join(parts)


def _report_memory(peak_bytes: int | None, workers: int) -> bool:
    """Prints the peak; False if it was over the limit."""
    limit_bytes = memory_limit_bytes(workers)
    if peak_bytes is None:
        _say("memory         not measured (that takes Linux's /proc/PID/smaps_rollup)")
        return True
    kept = peak_bytes <= limit_bytes
    verdict = "within" if kept else "OVER"
    _say(f"memory         peak {peak_bytes / MIB:.0f} MiB, {verdict} {limit_bytes / MIB:.0f} MiB")
    return kept


def _report_time(took_s: float, startup_s: float | None) -> None:
    startup = "" if startup_s is None else f", {startup_s:.1f} s of it to start and to import"
    _say(f"time           {took_s:.1f} s{startup}")


def _report_speedup(
    took_s: float, startup_s: float | None, baseline: Baseline, workers: int, cores: int
) -> None:
    speedup = baseline.took_s / took_s
    ideal = baseline.ideal_speedup(workers, cores)
    total_s = baseline.augment_s + baseline.train_s
    flowing = ""
    if startup_s is not None:
        flowing = f" ({baseline.took_s / (took_s - startup_s) / ideal:.0%} without the start)"
    _say(
        f"in one process {baseline.took_s:.1f} s, test accuracy {baseline.training.accuracy:.1%}\n"
        f"speed-up       {speedup:.2f} on {cores} cores, {speedup / ideal:.0%} of the ideal "
        f"{ideal:.2f}{flowing}\n"
        f"ideal          the work in one process, {total_s:.1f} s, by the largest of: Augment's "
        f"{baseline.augment_s:.1f} s / {workers},\n"
        f"               Train's {baseline.train_s:.1f} s, all of it / {cores} cores"
    )


def _report_sameness(training: Training, reference: Training) -> bool:
    """Prints whether both runs trained on the same chunks, bit by bit; False if not."""
    same = training.fingerprints == reference.fingerprints
    verdict = "have" if same else "HAVE NOT"
    _say(f"same data      both runs {verdict} trained on exactly the same chunks, each once")
    return same


def _say(text: str) -> None:
    # Flushed, so that it stays in order with what the workers print, also into a pipe.
    print(text, flush=True)
