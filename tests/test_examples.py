"""Every example runs, and prints what it should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

EXPECTED = {
    "toy.py": "saved 0\nsaved 1\nsaved 4\nsaved 9\n",
    "loop.py": "weights [2.0, -1.0, 0.5]\n",
    "stateful.py": "1000 steps, mean position 11.473\n",
    "train_digits.py": "test accuracy: 9",
}
ARGUMENTS = {"train_digits.py": ["--chunks", "24"]}
NEEDS = {"train_digits.py": "sklearn"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_the_example_runs(path: Path) -> None:
    if path.name in NEEDS:
        pytest.importorskip(NEEDS[path.name])
    command = [sys.executable, str(path), *ARGUMENTS.get(path.name, [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert EXPECTED[path.name] in done.stdout
    assert len(path.read_text().splitlines()) < 80
