"""GPUs are found without CUDA, and dealt out to workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import minipipe as mp
from minipipe.graph import Graph, Part, line_graph
from minipipe.process.gpus import visible_gpus
from minipipe.supervisor.gpus import deal


def collect(item: Any) -> None:
    pass


def line(*sinks: mp.Sink) -> Graph:
    return line_graph([Part(mp.Source([1])), Part(mp.Broadcast(list(sinks)))])


def sees(*sinks: mp.Sink, gpus: tuple[str, ...]) -> list[list[str]]:
    """What CUDA_VISIBLE_DEVICES each worker of each segment has."""
    graph = line(*sinks)
    shares = deal(graph, lambda: gpus)
    return [
        [shares[segment.index].of(index) for index in range(segment.n_processes)]
        for segment in graph.segments
        if segment.index in shares
    ]


def sink(name: str, **options: Any) -> mp.Sink:
    return mp.Sink(collect, name, **options)


def test_a_number_is_dealt_out_in_turn_over_all_segments() -> None:
    four = [sink(str(i), gpus=1) for i in range(4)]
    assert sees(*four, gpus=("0", "1", "2", "3")) == [["0"], ["1"], ["2"], ["3"]]
    assert sees(*four, gpus=("5", "7")) == [["5"], ["7"], ["5"], ["7"]]
    assert sees(*four, gpus=("0",)) == [["0"]] * 4
    ranks = sink("a", gpus=2, n_processes=3), sink("b"), sink("c", gpus=1)
    assert sees(*ranks, gpus=tuple("01234")) == [["0,1", "2,3", "4,0"], ["1"]]


def test_a_list_is_what_all_workers_see_in_that_order() -> None:
    pair = sink("a", gpus=[1, 0], n_processes=2), sink("b", gpus=range(1))
    assert sees(*pair, gpus=("4", "GPU-8f")) == [["GPU-8f,4"] * 2, ["4"]]
    assert sees(sink("a", gpus=["MIG-3", 0]), gpus=("4",)) == [["MIG-3,4"]]


def test_a_list_takes_none_from_those_who_are_dealt_out() -> None:
    assert sees(sink("a", gpus=[0]), sink("b", gpus=1), gpus=("0", "1")) == [["0"], ["0"]]


def test_who_wants_none_needs_no_gpu() -> None:
    def fails() -> tuple[str, ...]:
        raise AssertionError("nobody wanted one")

    shares = deal(line(sink("a", gpus=0), sink("b", gpus=[]), sink("c")), fails)
    assert [share.of(5) for share in shares.values()] == ["", ""]


@pytest.mark.parametrize(
    ("gpus", "seen", "said"),
    [
        (1, (), r"gpus=1 of Sink 'a': there is no GPU here.*leave gpus= away"),
        ([0], (), r"gpus=\[0\] of Sink 'a': there is no GPU here"),
        (["GPU-8f"], (), "there is no GPU here"),
        (3, ("0", "1"), r"gpus=3 of Sink 'a': no worker can have that many.*sees 2, 0 to 1"),
        ([0, 2], ("0", "1"), r"gpus=\[0, 2\].*there is no GPU 2.*sees 2, 0 to 1"),
        ([1], ("0",), "there is no GPU 1, as this process sees 1, 0"),
        ([0, "GPU-8f"], ("GPU-8f",), "names a GPU twice"),
    ],
)
def test_what_is_not_there_is_named(
    gpus: Any, seen: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(mp.StartError, match=said):
        deal(line(sink("a", gpus=gpus)), lambda: seen)


def test_the_variable_of_this_process_is_named_where_it_is_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(mp.StartError, match="sees no GPU, as CUDA_VISIBLE_DEVICES=''"):
        deal(line(sink("a", gpus=1)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(mp.StartError, match=r"sees 1, 0 \(CUDA_VISIBLE_DEVICES=3\)"):
        deal(line(sink("a", gpus=[3])))


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        ("", ()),
        ("0", ("0",)),
        (" 3, 1", ("3", "1")),
        ("-1", ()),
        ("0,-1,1", ("0",)),
        ("NoDevFiles", ()),
        ("0,1,0", ()),
        ("GPU-8f,GPU-8f", ()),
        ("\u0663", ()),
        ("GPU-8f,MIG-GPU-3/1/0", ("GPU-8f", "MIG-GPU-3/1/0")),
    ],
)
def test_what_the_variable_says_is_believed(shown: str, found: tuple[str, ...]) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": shown}) == found


def test_gpus_are_counted_by_their_files_or_by_the_driver(tmp_path: Path) -> None:
    nowhere = {"PATH": str(tmp_path / "bin")}
    assert visible_gpus(nowhere, tmp_path) == ()
    for name in ("0000:01:00.0", "0000:02:00.0", "0000:03:00.0"):
        (tmp_path / "proc/driver/nvidia/gpus" / name).mkdir(parents=True)
    assert visible_gpus(nowhere, tmp_path) == ("0", "1", "2")
    # In a container that may use one of the three.
    (tmp_path / "dev").mkdir()
    for name in ("nvidia2", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / "dev" / name).touch()
    assert visible_gpus(nowhere, tmp_path) == ("0",)


def test_where_there_are_no_files_nvidia_smi_is_asked(tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    lines = "GPU 0: H100 (UUID: GPU-8f)\\n  MIG 1g.10gb (UUID: MIG-1)\\nGPU 1: H100 (UUID: GPU-9)"
    program.write_text(f"#!/bin/sh\nprintf '{lines}\\n'\n")
    program.chmod(0o755)
    assert visible_gpus({"PATH": str(tmp_path)}, tmp_path) == ("0", "1")
    program.write_text("#!/bin/sh\necho 'No devices were found'; exit 6\n")
    assert visible_gpus({"PATH": str(tmp_path)}, tmp_path) == ()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gpus": -1}, r"gpus of Sink 'a' is how many GPUs each .* got -1"),
        ({"gpus": True}, "got True"),
        ({"gpus": "0"}, "got '0'"),
        ({"gpus": "cuda:0"}, "got 'cuda:0'"),
        ({"gpus": {0, 1}}, r"got \{0, 1\}"),
        ({"gpus": [0, -1]}, r"got \[0, -1\]"),
        ({"gpus": [[0]]}, r"got \[\[0\]\]"),
        ({"gpus": ["1"]}, r"got \['1'\]"),
        ({"gpus": 1.0}, "got 1.0"),
        ({"gpus": ["GPU-"]}, r"got \['GPU-'\]"),
        ({"gpus": ["GPU-8f\0"]}, "gpus of Sink 'a' is how many"),
        ({"gpus": ["GPU-8f\n"]}, "gpus of Sink 'a' is how many"),
        ({"gpus": [0, 0]}, r"names a GPU twice: \[0, 0\]"),
        ({"gpus": 1, "env": {"CUDA_VISIBLE_DEVICES": "1"}}, "say the same thing twice"),
        ({"gpu": 1}, "did you mean 'gpus'"),
        ({"num_gpus": 1}, "did you mean 'gpus'"),
        ({"device": "cuda:1"}, "did you mean 'gpus'"),
    ],
)
def test_bad_input_is_told_where_it_is_written(options: dict[str, Any], said: str) -> None:
    with pytest.raises(mp.OptionError, match=said):
        sink("a", **options)
