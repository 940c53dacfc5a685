"""Where workers find the package: where the supervisor has it, installed or not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import minipipe

SCRIPT = """
import sys
sys.path.insert(0, {place!r})
import minipipe as mp

def where(item):
    import minipipe
    return minipipe.__file__

if __name__ == "__main__":
    (path,) = mp.PipeLine([mp.Source([1]), mp.Transform(where)])
    print(path)
"""


def test_workers_use_the_package_that_their_supervisor_uses(tmp_path: Path) -> None:
    package = Path(str(minipipe.__file__)).parent
    skipped = shutil.ignore_patterns("__pycache__")
    copy = Path(shutil.copytree(package, tmp_path / "minipipe", ignore=skipped))
    script = tmp_path / "script" / "run.py"
    script.parent.mkdir()
    script.write_text(SCRIPT.format(place=str(tmp_path)))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == str(copy / "__init__.py"), done.stderr
