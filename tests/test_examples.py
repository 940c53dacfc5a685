"""Every example runs, prints what it should, and is short."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
LIMIT_S = 280  # generous: reached, it means a deadlock
MAX_LINES = 79

# Regular expressions, in the order of what is printed.
EXPECTED = {
    "broadcast.py": [
        r"rate 0\.3: 200 batches, weights off by 0\.0",
        r"rate 0\.1: 200 batches, weights off by 0\.0",
        r"rate 0\.01: 200 batches, weights off by 0\.[2-4]",
        r"rate 0\.001: 200 batches, weights off by 1\.[5-7]",
    ],
    "cnn.py": [
        r"DataLoader: accuracy (?P<accuracy>\d+\.\d%) after \d+\.\d s",
        r"MiniPipe: accuracy (?P=accuracy) after \d+\.\d s",
    ],
    "ddp.py": [
        # In whichever order the ranks print.
        r"rank ([01]) of 2: 78 batches, loss 0\.0\d+, same weights: True",
        r"rank (?!\1)[01] of 2: 78 batches, loss 0\.0\d+, same weights: True",
    ],
    "feedback_loop.py": [r"0\n1\n1\n2\n3\n5\n8\n13\n21\n34\n\Z"],
    "four_models.py": [
        r"rate 0\.3: \d\d% after 20 batches, [78]\d% after 280",
        r"rate 0\.1: \d\d% after 20 batches, [89]\d% after 280",
        r"rate 0\.03: \d\d% after 20 batches, [89]\d% after 280",
        r"rate 0\.003: \d\d% after 20 batches, [678]\d% after 280",
        r"plotted in .*accuracies\.png",
    ],
    "from_dataloader.py": [
        r"epoch 0: 16 batches of \(32, 32\), 999 samples",
        r"epoch 1: 16 batches of \(32, 32\), 999 samples",
    ],
    "graph.py": [r"large \[30, 65, 70\]", r"small \[3, 7, 7\]"],
    "lightning_loop.py": [
        r"epoch 0: 50 steps, (9\d\.\d|100\.0)% right",
        r"epoch 1: 100 steps, (9\d\.\d|100\.0)% right",
    ],
    "other_programs.py": [
        r"the monitor has seen {1: 29, 2: 29, 3: 29, 4: 29, 5: 28, 6: 28, 7: 28}",
        r"200 signals, 1 refused",
    ],
    "pytorch_loop.py": [
        r"epoch 0: 390 batches, loss 0\.\d\d",
        r"epoch 1: 390 batches, loss 0\.\d\d",
        r"test accuracy (9\d\.\d|100\.0)%",
    ],
    "search.py": [
        r"rate 1\.0: loss 0\.2331 after 1 batch, 0\.0007 after 60",
        r"rate 0\.3: loss 2\.3677 after 1 batch, 0\.0001 after 60",
        r"rate 0\.1: loss 4\.0952 after 1 batch, 0\.0000 after 60",
        r"rate 0\.03: loss 4\.8171 after 1 batch, 0\.1172 after 60",
        r"plotted in .*losses\.png",
    ],
    "stateful.py": [r"1000 steps, mean position 11\.473"],
    "swap_dataloader.py": [r"DataLoader: (9\d\.\d\d%|100\.00%) right.*\nMiniPipe: \1 right"],
    "tar_shards.py": [
        r"epoch 0: 300 images of \(32, 32, 3\), 100\.0% right",
        r"epoch 1: 300 images of \(32, 32, 3\), 100\.0% right",
    ],
    "tabular.py": [r"fitted to 18000 rows, test accuracy 9\d\.\d%"],
    "text_packing.py": [
        r"batch 0: int32\[4, 32\]",
        r"batch 6: int32\[4, 32\]",
        r"20 texts, 856 tokens, 40 of padding",
    ],
    "timeline.py": [r"drawn in .*timeline\.png"],
    "toy.py": [r"saved 0\nsaved 1\nsaved 4\nsaved 9\n"],
    "train_digits.py": [
        r"hidden=32 lr=0\.02 +\d\d\.\d%",
        r"hidden=32 lr=0\.2 +\d\d\.\d%",
        r"hidden=128 lr=0\.02 +\d\d\.\d%",
        r"hidden=128 lr=0\.2 +9\d\.\d%",
    ],
    "training_loop.py": [r"epoch 0: .*\nepoch 1: .*\nweights \[2\.0, -1\.0, 0\.5\]"],
}
ARGUMENTS = {"four_models.py": ["."], "train_digits.py": ["--chunks", "24"], "search.py": ["."]}
NEEDS = {
    "cnn.py": "torch",
    "ddp.py": "torch",
    "four_models.py": "torch",
    "lightning_loop.py": "lightning",
    "pytorch_loop.py": "torch",
    "search.py": "matplotlib",
    "swap_dataloader.py": "torch",
    "tabular.py": "sklearn",
    "timeline.py": "matplotlib",
    "train_digits.py": "sklearn",
}
WRITES = {
    "four_models.py": {"accuracies.png"},
    "search.py": {"losses.png"},
    "timeline.py": {"timeline.png"},
}


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_an_example_runs_and_prints_what_it_should(name: str, tmp_path: Path) -> None:
    # Looked for, not imported: what is heavy stays out of this process.
    if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"{name} needs {NEEDS[name]}, which is not installed")
    (tmp_path / "cwd").mkdir()
    environ = {**os.environ, "MPLCONFIGDIR": str(tmp_path / "matplotlib")}
    # Unbuffered, a line's end is written by itself, and two processes write into one line.
    environ.pop("PYTHONUNBUFFERED", None)
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", EXAMPLES / name, *ARGUMENTS.get(name, [])],
        cwd=tmp_path / "cwd",
        env=environ,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )

    assert done.returncode == 0, done.stderr
    assert re.search(r"\n(.*\n)*?".join(EXPECTED[name]), done.stdout), done.stdout
    assert {path.name for path in (tmp_path / "cwd").iterdir()} == WRITES.get(name, set())


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_an_example_is_short_enough_to_be_read(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) <= MAX_LINES
