"""The main job, small: what its parts promise, and the whole of it as people start it."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sklearn")

from minipipe.demo import augment, digits, functors, job, memory, pipeline, report
from minipipe.demo.baseline import Baseline, run_inline
from minipipe.demo.fingerprint import Fingerprint

ROOT = Path(__file__).parents[1]
LIMIT_S = 300  # generous: reached, it means a deadlock
ROWS = 4 * 500  # in the fixture's files
BEST = functors.MODELS[-1]
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


def test_a_decoded_row_has_the_size_that_the_memory_limit_counts_with(files: list[str]) -> None:
    rows = functors.load_and_augment(files[0])

    assert rows["images"].nbytes + rows["labels"].nbytes == 500 * digits.ROW_BYTES


def test_the_trainer_returns_its_curve_and_what_it_has_trained_on(
    split: digits.Digits, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = functors.Trainer(BEST, split, ROWS)
    trainer.local_init()
    for name in files:
        trainer.run(functors.load_and_augment(name))

    training = trainer.local_term()

    assert training is not None
    assert [seen for seen, _ in training.curve] == [500, 1000, 1500, 2000]
    assert training.curve[-1][1] == training.accuracy > 0.5
    assert training.fingerprint.rows == ROWS
    assert capsys.readouterr().out.count("test accuracy") == 3


@pytest.mark.parametrize("rows_at_a_time", [1, 7, 300, 500, 2000])
def test_the_trainer_looks_at_the_test_digits_as_often_whatever_the_batches(
    split: digits.Digits, rows_at_a_time: int
) -> None:
    images, labels = augment.normalise(split.train_images[:1000]), split.train_labels[:1000]
    trainer = functors.Trainer(BEST, split, len(labels))
    trainer.local_init()
    trainer._model = Untrained()
    for first in range(0, len(labels), rows_at_a_time):
        last = first + rows_at_a_time
        trainer.run(functors.Rows(images=images[first:last], labels=labels[first:last]))

    training = trainer.local_term()

    assert training is not None
    looks = [seen for seen, _ in training.curve]
    assert len(looks) == min(functors.LOOKS, -(-1000 // rows_at_a_time))
    assert looks[-1] == 1000


class Untrained:
    """A model that says 0 to everything."""

    def partial_fit(self, images: Any, labels: Any, *, classes: Any) -> None:
        pass

    def predict(self, images: Any) -> Any:
        return np.zeros(len(images), int)


class InterruptedModel:
    """What scikit-learn's networks make of a Ctrl-C."""

    def partial_fit(self, images: Any, labels: Any, *, classes: Any) -> None:
        warnings.warn("Training interrupted by user.", UserWarning, stacklevel=2)


def test_a_ctrl_c_that_the_network_only_warns_of_ends_the_training(split: digits.Digits) -> None:
    trainer = functors.Trainer(BEST, split, 1)
    trainer._model = InterruptedModel()
    images, labels = augment.normalise(split.train_images), split.train_labels

    with pytest.raises(KeyboardInterrupt):
        trainer.run(functors.Rows(images=images, labels=labels))


def test_in_processes_and_inline_every_model_gets_the_same_rows(
    split: digits.Digits, files: list[str]
) -> None:
    trainers = {model.name: functors.Trainer(model, split, ROWS) for model in functors.MODELS}
    pline = pipeline.training_pipeline(files, trainers, 2).build("WARNING")

    results = pline.run().close()
    inline = run_inline(files, split, ROWS)

    in_processes = {name: results[f"{name}/Train"] for name in trainers}
    assert report.report_sameness([in_processes, inline.trainings], ROWS)
    assert list(inline.trainings) == list(trainers)
    assert 0 < inline.work_s <= inline.took_s


# ------------------------------------------------------------- the fingerprints
def some_rows(count: int) -> tuple[augment.Floats, digits.Labels]:
    rng = np.random.default_rng(0)
    return rng.random((count, augment.PIXELS), np.float32), rng.integers(0, 10, count)


@given(cuts=st.lists(st.integers(1, 9), unique=True), order=st.permutations(range(10)))
@settings(max_examples=40)
def test_a_fingerprint_says_which_rows_there_were_and_whether_in_the_same_order(
    cuts: list[int], order: list[int]
) -> None:
    images, labels = some_rows(10)
    whole = Fingerprint().followed_by(images, labels)

    mixed = Fingerprint()
    bounds = [0, *sorted(cuts), 10]
    for first, last in pairwise(bounds):
        rows = order[first:last]
        mixed = mixed.followed_by(images[rows], labels[rows])

    assert (mixed.rows, mixed.content) == (whole.rows, whole.content)
    assert (mixed.order == whole.order) == (order == list(range(10)) and not cuts)


@given(row=st.integers(0, 9), other=st.integers(0, 9))
@settings(max_examples=40)
def test_a_row_in_the_place_of_another_shows(row: int, other: int) -> None:
    images, labels = some_rows(10)
    images, whole = images.copy(), Fingerprint().followed_by(images, labels)

    images[row] = images[other]

    assert (Fingerprint().followed_by(images, labels).content == whole.content) == (row == other)


@given(row=st.integers(0, 9), pixel=st.integers(0, augment.PIXELS - 1))
@settings(max_examples=40)
def test_a_changed_bit_or_label_shows(row: int, pixel: int) -> None:
    images, labels = some_rows(10)
    whole = Fingerprint().followed_by(images, labels)
    changed, relabelled = images.copy(), labels.copy()
    changed[row, pixel] = np.nextafter(changed[row, pixel], np.float32(2))
    relabelled[row] += 1

    assert Fingerprint().followed_by(changed, labels).content != whole.content
    assert Fingerprint().followed_by(images, relabelled).content != whole.content


def test_two_changes_that_cancel_each_other_show() -> None:
    images, labels = some_rows(2)
    whole = Fingerprint().followed_by(images, labels)

    swapped = Fingerprint().followed_by(images, labels[::-1] + 10)

    assert swapped.content != whole.content
    assert Fingerprint().followed_by(images, labels + np.array([1, -1])).content != whole.content


def trainings(*marks: Fingerprint) -> dict[str, functors.Training]:
    return {str(i): functors.Training(0.9, (), mark) for i, mark in enumerate(marks)}


@pytest.mark.parametrize(
    ("other", "kept", "said"),
    [
        (Fingerprint(8, 5, 1), True, "all 2 models of both runs have trained on the same 8 digits"),
        (Fingerprint(8, 5, 2), False, "NOT IN THE SAME ORDER"),
        (Fingerprint(8, 6, 1), False, "HAVE NOT"),
        (Fingerprint(7, 5, 1), False, "HAVE NOT"),
    ],
)
def test_a_model_that_was_trained_on_other_rows_is_said_and_fails_the_job(
    other: Fingerprint, kept: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mark, another_order = Fingerprint(8, 5, 1), Fingerprint(8, 5, 9)
    runs = [trainings(mark, other), trainings(another_order, another_order)]

    assert report.report_sameness(runs, 8) is kept
    assert said in capsys.readouterr().out


def test_the_same_rows_twice_in_every_model_fail_the_job() -> None:
    twice = Fingerprint(16, 10, 1)

    assert not report.report_sameness([trainings(twice, twice)], 8)


# --------------------------------------------------------------- the measuring
def test_the_ideal_speedup_is_what_takes_longest_allows() -> None:
    baseline = Baseline({}, 19.0, augment_s=6.0, rebatch_s=2.0, train_s=(1.0, 2.0, 3.0, 4.0))

    assert baseline.work_s == 18
    assert baseline.ideal_speedup(workers=2, cores=2) == 18 / 9  # the cores
    assert baseline.ideal_speedup(workers=4, cores=16) == 18 / 4  # the slowest model
    assert baseline.ideal_speedup(workers=1, cores=16) == 18 / 6  # the one worker
    baseline = replace(baseline, rebatch_s=8.0)
    assert baseline.ideal_speedup(workers=4, cores=16) == 24 / 8  # Rebatch


def test_the_limit_is_smaller_than_what_flows_through() -> None:
    limit = pipeline.memory_limit_bytes(pipeline.WORKERS, len(functors.MODELS))

    assert 2 * limit < job.CHUNKS * digits.CHUNK_IMAGES * digits.ROW_BYTES


def test_a_peak_over_the_limit_is_said_and_fails_the_job(
    capsys: pytest.CaptureFixture[str],
) -> None:
    limit = pipeline.memory_limit_bytes(2, len(functors.MODELS))

    assert report.report_memory(limit, workers=2)
    assert not report.report_memory(limit + 1, workers=2)
    assert "OVER" in capsys.readouterr().out


# A process in which nothing else happens meanwhile: pytest's own gives memory back when it likes.
ALLOCATING = """
import mmap
print(flush=True)
input()
held = mmap.mmap(-1, 64 * 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for page in range(0, len(held), mmap.PAGESIZE):
    held[page] = 1
print(flush=True)
input()
"""


@pytest.mark.skipif(
    memory.held_bytes([os.getpid()]) is None, reason="needs Pss_Shmem in /proc/PID/smaps_rollup"
)
def test_what_a_process_allocates_is_measured() -> None:
    command = [sys.executable, "-c", ALLOCATING]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdout.readline()
        before = memory.held_bytes([child.pid])
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.readline()
        after = memory.held_bytes([child.pid])
        child.communicate(b"\n")

    assert before is not None and after is not None
    assert 0.9 * 64 * 2**20 < after - before < 1.1 * 64 * 2**20


def test_of_a_process_that_is_gone_nothing_is_measured() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()

    assert memory.held_bytes([process.pid]) is None


# -------------------------------------------------------------------- the whole
def test_the_job_says_how_it_went_and_leaves_a_report(empty_tmp: Path, tmp_path: Path) -> None:
    options = ("--chunks", "12", "--out", str(tmp_path))
    code, out, err = finish(start("-m", "minipipe", "demo", *options, tmp=empty_tmp))

    assert (code, err) == (0, "")
    table = re.findall(r"^ +(\d+) +([\d.]+) +([\d.]+)% +[\d.]+%", out, re.MULTILINE)
    assert [(h, rate) for h, rate, _ in table] == [
        (str(model.hidden), f"{model.rate:g}") for model in functors.MODELS
    ]
    assert max(float(accuracy) for _, _, accuracy in table) > 80
    assert "Files 12 out; Augment 12 in, 12 out" in out and "Rebatch 12 in, 48 out" in out
    assert "the 4 Train 48 + 48 + 48 + 48 in" in out
    assert "all 4 models of both runs have trained on the same 49,152 digits" in out
    assert "the models of a run in the same order" in out
    assert re.search(r"^speed-up +[\d.]+ on \d+ cores, \d+% of the ideal", out, re.MULTILINE)
    assert re.search(r"^memory +(peak \d+ MiB, within|not measured)", out, re.MULTILINE)
    assert re.search(r"\nverdict +\S.*\n\Z", out)
    assert f"report         {tmp_path / 'minipipe-demo.html'}\n" in out
    assert '"segments":["Files","Augment"' in (tmp_path / "minipipe-demo.html").read_text()
    if importlib.util.find_spec("matplotlib") is not None:
        assert f"timeline       {tmp_path / 'minipipe-demo.png'}\n" in out
        assert (tmp_path / "minipipe-demo.png").read_bytes().startswith(b"\x89PNG")
    assert not list(empty_tmp.iterdir())


def test_a_report_that_cannot_be_written_is_an_error_before_anything_starts(
    empty_tmp: Path, tmp_path: Path
) -> None:
    options = ("--out", str(tmp_path / "no"))
    code, out, err = finish(start("-m", "minipipe", "demo", *options, tmp=empty_tmp))

    assert (code, out) == (2, "")
    assert "no directory that can be written to" in err


def test_ctrl_c_prints_one_line_and_leaves_nothing(empty_tmp: Path, tmp_path: Path) -> None:
    options = ("--chunks", "64", "--no-baseline", "--out", str(tmp_path))
    job = start("-m", "minipipe", "demo", *options, tmp=empty_tmp)
    assert job.stdout is not None
    any("test accuracy" in line for line in job.stdout)  # reads until it is training

    job.send_signal(signal.SIGINT)
    code, _, err = finish(job)

    assert (code, err) == (130, "minipipe demo: interrupted, nothing is left of it\n")
    assert not list(empty_tmp.iterdir()) and not list(tmp_path.iterdir())


def test_without_scikit_learn_one_line_says_what_to_install(empty_tmp: Path) -> None:
    code, out, err = finish(start("-c", WITHOUT_SKLEARN, tmp=empty_tmp))

    assert (code, out, err) == (1, "", ONE_LINE)


def test_importing_the_demo_does_not_import_scikit_learn(empty_tmp: Path) -> None:
    look = "import minipipe.demo, sys; print('sklearn' in sys.modules)"

    assert finish(start("-c", look, tmp=empty_tmp)) == (0, "False\n", "")


def test_the_example_trains(empty_tmp: Path) -> None:
    code, out, _ = finish(start("examples/train_digits.py", "--chunks", "2", tmp=empty_tmp))

    assert code == 0
    assert len(re.findall(r"^hidden=\d+ lr=[\d.]+ +\d\d\.\d%$", out, re.MULTILINE)) == 4
    assert not list(empty_tmp.iterdir())
