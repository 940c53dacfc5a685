"""A hook of MkDocs (mkdocs.yml): files of the project that pages show and that are not in docs/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
SHOWN = {
    "pictures/throughput.png": "benchmarks/results/throughput.png",
    "pictures/timeline.png": "examples/timeline.png",
}


def on_files(files: Files, config: Any) -> Files:
    """Adds them, so that no second copy has to be kept in step."""
    for uri, path in SHOWN.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return files
