"""`minipipe demo`: does the job, and says what it does and how well it went."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from minipipe.demo.baseline import run_inline
from minipipe.demo.digits import CHUNK_IMAGES, Digits, load_split, write_chunks
from minipipe.demo.functors import MODELS, Trainer, Training
from minipipe.demo.memory import MemoryWatch
from minipipe.demo.pipeline import WORKERS, processes, training_pipeline
from minipipe.demo.report import (
    MIB,
    describe,
    report_files,
    report_items,
    report_memory,
    report_models,
    report_sameness,
    report_speedup,
    report_time,
    say,
)
from minipipe.shm import usable_cpus

PRELOAD = ("sklearn.neural_network", "threadpoolctl")  # by `Trainer.local_init`, in each of four
CHUNKS = 200  # less than a minute on two cores, with the run in one process
# Not "minipipe-...": such directories belong to runs, which sweep up those of dead ones.
PREFIX = "digits-minipipe-"
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
            return _run(Path(directory), options)
    except KeyboardInterrupt:
        print("minipipe demo: interrupted, nothing is left of it", file=sys.stderr)
        return INTERRUPTED


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="minipipe demo",
        description=f"Train {len(MODELS)} networks on one stream of handwritten digits from disk, "
        "in processes and in one process, and compare.",
    )
    parser.add_argument(
        "--workers",
        type=_positive,
        default=WORKERS,
        metavar="N",
        help="processes that decode and augment (%(default)s)",
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
    parser.add_argument(
        "--out",
        type=_folder,
        default=".",
        metavar="DIR",
        help="where the report page and the picture go (%(default)s)",
    )
    return parser.parse_args(argv)


def _has_sklearn() -> bool:
    try:
        import sklearn  # noqa: F401 - only to know it early
    except ModuleNotFoundError:
        return False
    return True


def _folder(text: str) -> Path:
    if not os.path.isdir(text) or not os.access(text, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"no directory that can be written to: {text!r}")
    return Path(text)


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {number}")
    return number


def _run(directory: Path, options: argparse.Namespace) -> int:
    workers, chunks = options.workers, options.chunks
    cores = usable_cpus()
    rows = chunks * CHUNK_IMAGES
    digits, files = _prepare(directory, chunks)
    describe(workers, chunks)

    say(f"\nin {processes(workers, len(MODELS))} processes on {cores} cores:")
    trainers = {model.name: Trainer(model, digits, rows) for model in MODELS}
    pline = training_pipeline(files, trainers, workers).build("WARNING")
    began_s = time.perf_counter()
    pline.run(preload=PRELOAD, trace=True)
    with MemoryWatch(pline) as watch:
        results = pline.close()
    took_s = time.perf_counter() - began_s
    trainings: dict[str, Training] = {name: results[f"{name}/Train"] for name in trainers}

    baseline = None
    if options.baseline:
        say("\nthe same files and functors in one process, build(inline=True):")
        baseline = run_inline(files, digits, rows)

    report_models(trainings, baseline.trainings if baseline else None)
    report_items(pline.stats())
    kept = report_memory(watch.peak_bytes, workers)
    report_time(took_s, watch.startup_s)
    runs = [trainings]
    if baseline is not None:
        report_speedup(took_s, watch.startup_s, baseline, workers, cores)
        runs.append(baseline.trainings)
    kept &= report_sameness(runs, rows)
    report_files(options.out, pline, None if baseline is None else baseline.pline)
    return 0 if kept else 1


def _prepare(directory: Path, chunks: int) -> tuple[Digits, list[str]]:
    digits = load_split()
    say(f"MiniPipe trains {len(MODELS)} networks on one stream of handwritten digits from disk")
    began_s = time.perf_counter()
    files = write_chunks(digits, directory, chunks)
    size_mib = sum(Path(name).stat().st_size for name in files) / MIB
    say(
        f"data      {len(digits.train_images)} digits to train on, {len(digits.test_images)} to "
        "test with (as they are, never trained on)\n"
        f"files     {chunks} with {CHUNK_IMAGES} randomly shifted train digits each, "
        f"{size_mib:.0f} MiB compressed (written in {time.perf_counter() - began_s:.1f} s)"
    )
    return digits, files
