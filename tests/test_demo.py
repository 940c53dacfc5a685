"""The main job, small: what its parts promise, and the whole of it as people start it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from minipipe.demo import augment, digits, functors, job, memory, pipeline
from minipipe.demo.baseline import Baseline, run_inline

ROOT = Path(__file__).parents[1]
LIMIT_S = 100  # generous: reached, it means a deadlock
ONE_LINE = "minipipe demo needs scikit-learn: pip install '.[demo]' in the clone of MiniPipe\n"
WITHOUT_SKLEARN = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "sklearn":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
from minipipe.cli import main
sys.exit(main(["demo"]))
"""


@pytest.fixture(scope="module")
def split() -> digits.Digits:
    return digits.load_split()


@pytest.fixture
def files(split: digits.Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(digits, "CHUNK_IMAGES", 500)
    return digits.write_chunks(split, tmp_path, 4)


@pytest.fixture
def empty_tmp() -> Iterator[Path]:
    # Not `tmp_path`: the names of sockets in it would be too long.
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def environment(tmp: Path) -> Mapping[str, str]:
    return {**os.environ, "TMPDIR": str(tmp), "XDG_RUNTIME_DIR": str(tmp)}


def start(*command: str, tmp: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment(tmp),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    return process.returncode, out, err


# ------------------------------------------------------------------- the data
def test_no_test_digit_is_a_train_digit(split: digits.Digits) -> None:
    train = {image.tobytes() for image in split.train_images}
    test = {image.tobytes() for image in split.test_images}

    assert len(split.train_images) + len(split.test_images) == 1797
    assert not train & test


def test_the_split_is_the_same_each_time_with_every_digit_in_both_parts(
    split: digits.Digits,
) -> None:
    again = digits.load_split()

    assert np.array_equal(split.test_images, again.test_images)
    assert np.array_equal(split.train_labels, again.train_labels)
    assert min(np.bincount(split.test_labels, minlength=10)) >= 40


def test_a_file_holds_train_digits_shifted_by_a_pixel_at_most(
    split: digits.Digits, files: list[str]
) -> None:
    shifted = {
        (np.pad(image, 1)[i : i + 8, j : j + 8].tobytes(), int(label))
        for image, label in zip(split.train_images, split.train_labels, strict=True)
        for i in range(3)
        for j in range(3)
    }
    with np.load(files[0], allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]

    assert images.dtype == np.uint8 and images.shape == (500, 8, 8)
    assert all((i.tobytes(), int(n)) in shifted for i, n in zip(images, labels, strict=True))


def test_every_file_has_another_seed(files: list[str]) -> None:
    seeds = set()
    for name in files:
        with np.load(name, allow_pickle=False) as file:
            seeds.add(int(file["seed"]))

    assert len(seeds) == len(files)


# ---------------------------------------------------------------- the functors
@pytest.mark.parametrize("n", [0, 1, 3, augment.BLOCK_IMAGES + 1])
def test_augmented_images_are_float32_rows_from_0_to_1(split: digits.Digits, n: int) -> None:
    images = split.train_images[:n]
    before = images.copy()

    result = augment.augment(images, seed=1)

    assert result.dtype == np.float32 and result.shape == (n, 64)
    assert np.all((result >= 0) & (result <= 1))
    assert np.array_equal(images, before)


def test_the_same_seed_augments_to_the_same_bits_and_another_one_does_not(
    split: digits.Digits,
) -> None:
    images = split.train_images[:300]

    first = augment.augment(images, seed=7)

    assert np.array_equal(first, augment.augment(images, seed=7))
    assert not np.array_equal(first, augment.augment(images, seed=8))


def test_resampling_every_pixel_from_where_it_is_changes_nothing(split: digits.Digits) -> None:
    images = augment.normalise(split.train_images[:5]).reshape(-1, 8, 8)
    rows, columns = np.indices((8, 8), np.float32).reshape(2, 1, 64).repeat(5, axis=1)

    assert np.allclose(augment._resample(images, rows, columns), images.reshape(5, 64))


@pytest.mark.parametrize("away", [-1000, -10, 10, 1000])
def test_what_is_resampled_from_outside_of_the_image_is_black(away: float) -> None:
    images = np.ones((1, 8, 8), np.float32)
    rows, columns = np.indices((8, 8), np.float32).reshape(2, 1, 64)

    assert not augment._resample(images, rows + np.float32(away + 0.5), columns).any()


def test_a_decoded_chunk_has_the_size_that_the_memory_limit_counts_with(
    split: digits.Digits, tmp_path: Path
) -> None:
    (name,) = digits.write_chunks(split, tmp_path, 1)

    chunk = functors.load_and_augment(name)

    assert chunk["images"].nbytes + chunk["labels"].nbytes == digits.DECODED_BYTES
    assert chunk["number"] == 0


def test_the_trainer_returns_its_curve_and_what_it_has_trained_on(
    split: digits.Digits, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = functors.Trainer(split, len(files))
    trainer.local_init()
    for name in files:
        trainer.run(functors.load_and_augment(name))

    training = trainer.local_term()

    assert training is not None
    assert [seen for seen, _ in training.curve] == [1, 2, 3, 4]
    assert training.curve[-1][1] == training.accuracy > 0.5
    assert [number for number, _ in training.fingerprints] == [0, 1, 2, 3]
    assert capsys.readouterr().out.count("test accuracy") == 4


class InterruptedModel:
    """What scikit-learn's networks make of a Ctrl-C."""

    def partial_fit(self, images: Any, labels: Any, *, classes: Any) -> None:
        warnings.warn("Training interrupted by user.", UserWarning, stacklevel=2)


def test_a_ctrl_c_that_the_network_only_warns_of_ends_the_training(split: digits.Digits) -> None:
    trainer = functors.Trainer(split, 1)
    trainer._model = InterruptedModel()
    images, labels = augment.normalise(split.train_images), split.train_labels

    with pytest.raises(KeyboardInterrupt):
        trainer.run(functors.Chunk(number=0, images=images, labels=labels))


def test_in_processes_and_inline_the_trainer_gets_the_same_chunks(
    split: digits.Digits, files: list[str]
) -> None:
    trainer = functors.Trainer(split, len(files))
    pline = pipeline.training_pipeline(files, trainer, 2).build("WARNING")

    in_processes = pline.run().close()["Train"]
    inline = run_inline(files, split)

    assert in_processes.fingerprints == inline.training.fingerprints
    assert len(inline.training.fingerprints) == len(files)
    assert inline.augment_s + inline.train_s <= inline.took_s


# --------------------------------------------------------------- the measuring
def test_the_ideal_speedup_is_what_takes_longest_allows() -> None:
    training: Any = None
    baseline = Baseline(training, took_s=9.5, augment_s=6.0, train_s=3.0)

    assert baseline.ideal_speedup(workers=2, cores=2) == 9 / 4.5  # the cores
    assert baseline.ideal_speedup(workers=4, cores=16) == 9 / 3  # the trainer
    assert baseline.ideal_speedup(workers=1, cores=16) == 9 / 6  # the one worker


def test_the_limit_is_smaller_than_what_flows_through() -> None:
    largest = pipeline.memory_limit_bytes(pipeline.MAX_WORKERS)

    assert 2 * largest < job.CHUNKS * digits.DECODED_BYTES


def test_a_peak_over_the_limit_is_said_and_fails_the_job(
    capsys: pytest.CaptureFixture[str],
) -> None:
    limit = pipeline.memory_limit_bytes(2)

    assert job._report_memory(limit, workers=2)
    assert not job._report_memory(limit + 1, workers=2)
    assert "OVER" in capsys.readouterr().out


@pytest.mark.skipif(
    memory.held_bytes([os.getpid()]) is None, reason="needs Pss_Anon in /proc/PID/smaps_rollup"
)
def test_what_a_process_allocates_is_measured() -> None:
    before = memory.held_bytes([os.getpid()])
    held = np.ones(64 * 2**20, np.uint8)
    after = memory.held_bytes([os.getpid()])

    assert before is not None and after is not None
    assert 0.9 * held.nbytes < after - before < 1.1 * held.nbytes


def test_of_a_process_that_is_gone_nothing_is_measured() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()

    assert memory.held_bytes([process.pid]) is None


# -------------------------------------------------------------------- the whole
def test_the_job_says_how_it_went_and_leaves_nothing(empty_tmp: Path) -> None:
    code, out, err = finish(start("-m", "minipipe", "demo", "--chunks", "6", tmp=empty_tmp))

    assert (code, err) == (0, "")
    accuracy = re.search(r"^test accuracy +([\d.]+)%", out, re.MULTILINE)
    assert accuracy is not None and float(accuracy[1]) > 80
    assert "Files 6 out; Augment 6 in, 6 out" in out and "Train 6 in" in out
    assert "both runs have trained on exactly the same chunks" in out
    assert re.search(r"^speed-up +[\d.]+ on \d+ cores, \d+% of the ideal", out, re.MULTILINE)
    assert re.search(r"^memory +(peak \d+ MiB, within|not measured)", out, re.MULTILINE)
    assert not list(empty_tmp.iterdir())


def test_ctrl_c_prints_one_line_and_leaves_nothing(empty_tmp: Path) -> None:
    job = start("-m", "minipipe", "demo", "--chunks", "32", "--no-baseline", tmp=empty_tmp)
    assert job.stdout is not None
    any("chunks: test accuracy" in line for line in job.stdout)  # reads until it is training

    job.send_signal(signal.SIGINT)
    code, _, err = finish(job)

    assert (code, err) == (130, "minipipe demo: interrupted, nothing is left of it\n")
    assert not list(empty_tmp.iterdir())


def test_without_scikit_learn_one_line_says_what_to_install(empty_tmp: Path) -> None:
    code, out, err = finish(start("-c", WITHOUT_SKLEARN, tmp=empty_tmp))

    assert (code, out, err) == (1, "", ONE_LINE)


def test_importing_the_demo_does_not_import_scikit_learn(empty_tmp: Path) -> None:
    look = "import minipipe.demo, sys; print('sklearn' in sys.modules)"

    assert finish(start("-c", look, tmp=empty_tmp)) == (0, "False\n", "")


def test_the_example_trains(empty_tmp: Path) -> None:
    code, out, _ = finish(start("examples/train_digits.py", "--chunks", "4", tmp=empty_tmp))

    assert code == 0
    assert re.search(r"^test accuracy: \d\d\.\d%$", out, re.MULTILINE)
    assert not list(empty_tmp.iterdir())
