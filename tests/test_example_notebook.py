"""The notebook among the examples runs, cell by cell, in a kernel, and shows what it should."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import re
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

NOTEBOOK = Path(__file__).parent.parent / "examples" / "dataloader.ipynb"
LIMIT_S = 240  # of one cell, generous: reached, it means a deadlock
MAX_BYTES = 60_000
EXPECTED = (
    r"DataLoader: (?P<right>9\d\.\d\d|100\.00)% right after \d+\.\d s \(first epoch \d+\.\d s, "
    r"others \d+\.\d s\)\n"
    r"MiniPipe: (?P=right)% right after \d+\.\d s \(first epoch \d+\.\d s, others \d+\.\d s\)\n"
    r"the same losses, batch by batch: True\n"
)


@pytest.mark.notebook
@pytest.mark.filterwarnings("ignore")  # of jupyter's own libraries
def test_it_runs_and_both_loaders_come_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for needed in ("torch", "matplotlib"):  # looked for, not imported: they stay out of here
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"the notebook needs {needed}, which is not installed")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    (tmp_path / "cwd").mkdir()
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    about = {"metadata": {"path": str(tmp_path / "cwd")}}
    client = nbclient.NotebookClient(notebook, timeout=LIMIT_S, resources=about)
    asyncio.run(client.async_execute())

    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    printed = "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")
    assert re.fullmatch(EXPECTED, printed), printed
    shown = [o.data["image/png"] for o in outputs if o.output_type == "display_data"]
    (picture,) = map(base64.b64decode, shown)
    assert picture.startswith(b"\x89PNG") and len(picture) > 5000
    assert not list((tmp_path / "cwd").iterdir())


def test_it_is_stored_small_and_as_it_was_written() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert NOTEBOOK.stat().st_size < MAX_BYTES
    assert not any(cell.get("outputs") for cell in notebook.cells)
