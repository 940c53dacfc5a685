"""`python -m benchmarks.gpu` runs as a whole on the CPU, small: its numbers mean nothing here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("PIL")

from benchmarks.gpu import __main__ as program  # noqa: E402
from benchmarks.gpu.measuring import Size  # noqa: E402
from benchmarks.gpu.models import resnet18, resnet50  # noqa: E402


# The others are for the command line: their processes import torch once more each, and what a
# pipeline keeps of its functor is there until the process ends.
@pytest.mark.parametrize("name", list(program.PARTS)[:5])
def test_each_part_measures_what_it_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as the program sets it
    found = program.PARTS[name](Size.small("cpu"))
    if name.startswith("check"):
        assert found == {"arrays": 160}
    elif name.startswith("host"):
        assert found.keys() == {"pageable", "slots"} and min(found.values()) > 0
    else:
        assert found["images_per_s"] > 0
    if name.startswith("ResNet-50"):
        assert 0 <= found["waits"] <= 1 and found["cpu_ms_an_image"] > 0


def test_the_models_are_what_they_are_called() -> None:
    for model, millions in ((resnet18(), 11.69), (resnet50(), 25.56)):
        count = sum(parameter.numel() for parameter in model.parameters())
        assert round(count / 1e6, 2) == millions


def test_what_was_measured_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state, results = tmp_path / "made/state.json", tmp_path / "gpu.md"
    calls = []

    def part(size: Size) -> dict[str, float]:
        calls.append(size)
        if len(calls) == 2:
            raise KeyboardInterrupt  # the machine is taken away
        return {"images_per_s": 100.0 * len(calls)}

    ceiling, other = program.CEILING, "ResNet-50, MiniPipe"
    monkeypatch.setattr(program, "PARTS", {"a": part, "b": part, ceiling: part, other: part})
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as the program sets it
    arguments = ["gpu", "--device", "cpu", "--small", "--state", str(state)]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(KeyboardInterrupt):
        program.main()
    assert list(next(iter(json.loads(state.read_text()).values()))) == ["a"]

    monkeypatch.setattr(sys, "argv", [*arguments, "--save", str(results)])
    monkeypatch.setattr(program, "PARTS", {"a": part, ceiling: part, other: part})
    assert program.main() == 0 and len(calls) == 4
    assert program.main() == 0 and len(calls) == 4
    assert "measured before: a" in capsys.readouterr().err
    assert results.read_text().count("## no GPU") == 2
    assert "images per s 400, 1.333 of the ceiling |" in results.read_text()
