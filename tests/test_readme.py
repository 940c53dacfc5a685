"""The README's script prints what the README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def blocks() -> list[str]:
    return re.findall(r"```\w*\n(.*?)```", README.read_text(), flags=re.DOTALL)


def without_times(text: str) -> list[str]:
    return [re.sub(r"\d+\.\d s", "N s", line) for line in text.splitlines()]


def test_the_first_script_is_short_and_prints_what_the_readme_says(tmp_path: Path) -> None:
    script, output = blocks()[:2]
    assert len([line for line in script.splitlines() if line]) == 12
    (tmp_path / "first.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "first.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert without_times(done.stdout + done.stderr) == without_times(output)


def test_the_errors_are_shown_as_they_are_printed(tmp_path: Path) -> None:
    script = blocks()[0].replace("return x * x", "return 1 / (x - 2)")
    (tmp_path / "train.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    shown = next(block for block in blocks() if "RemoteTraceback" in block)
    printed = re.sub(r'File ".*?train.py"', 'File "train.py"', done.stderr)
    for line in shown.splitlines():
        if line.strip() in ("", "..."):
            continue
        line = re.sub(r"pid \d+", "pid N", line.rstrip())
        line = re.sub(r"worker square/\d", "worker square/N", line)
        known = re.sub(r"worker square/\d", "worker square/N", re.sub(r"pid \d+", "pid N", printed))
        assert line in known, f"{line!r} is not in:\n{known}"
    assert done.returncode == 1


def test_the_readme_never_names_the_other_package_as_an_install() -> None:
    assert not re.search(r"pip install ['\"]?minipipe", README.read_text())
