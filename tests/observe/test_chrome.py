"""A timeline in Chrome's trace format."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minipipe.errors import OptionError
from minipipe.observe.chrome import document
from minipipe.observe.timeline import Span, Timeline, Track
from minipipe.observe.trace_wish import begin_trace_file, check_trace, write_trace
from minipipe.observe.whole_file import write_whole

EXACT = Span(3_000, 5_000, busy_ns=2_000, calls=1, number=4, origin=1)
CELLS = Span(5_000, 9_000, busy_ns=1_000, starved_ns=2_500, calls=3)
LINE = Timeline(
    1_000,
    10_000,
    ('lo"ad', "work"),
    (
        Track(1, 'lo"ad', 'lo"ad', 41, 2_000, 10_000, "gone", (Span(3_000, 4_000, 1_000),)),
        Track(2, "work", "work/0", 42, 2_000, 9_500, "died", (EXACT, CELLS)),
        Track(3, "work", "work/1", 0, 0, None, "running", ()),
    ),
    forgotten=2,
)


def loaded(timeline: Timeline | None) -> Any:
    return json.loads(b"".join(document(timeline)))


def of(name: str) -> list[Any]:
    return [event for event in loaded(LINE)["traceEvents"] if event["name"] == name]


def test_segments_are_processes_and_workers_their_threads() -> None:
    assert [e["args"]["name"] for e in of("process_name")] == ['lo"ad', "work"]
    threads = [(e["pid"], e["tid"], e["args"]["name"]) for e in of("thread_name")]
    assert threads == [(1, 1, 'lo"ad (pid 41)'), (2, 2, "work/0 (pid 42)"), (2, 3, "work/1")]


def test_a_track_says_on_which_other_machine_it_was() -> None:
    track = Track(1, "work", "work/0", 41, 0, None, "running", (), host="b")
    assert [track.name, replace(track, thread=2).name] == ["work/0 on b", "work/0 thread 2 on b"]


def test_a_call_names_its_item_and_who_numbered_that() -> None:
    call = of("busy")[-1]
    assert (call["ts"], call["dur"], call["args"]) == (2.0, 2.0, {"item": 4, "of": 'lo"ad'})


def test_a_cell_says_its_shares_and_is_called_by_the_largest() -> None:
    (cell,) = of("starved (sampled)")
    assert cell["args"] == {"busy %": 25.0, "starved %": 62.5, "blocked %": 0.0, "timed calls": 3}


def test_the_start_and_the_death_of_a_worker_are_there() -> None:
    assert [(e["tid"], e["ts"], e["dur"]) for e in of("start")] == [(1, 1.0, 1.0), (2, 1.0, 1.0)]
    assert [(e["tid"], e["ts"]) for e in of("died")] == [(2, 8.5)]
    assert loaded(LINE)["otherData"]["forgotten"] == "2 workers that died early"


def test_of_a_run_that_goes_on_the_file_is_valid_and_empty() -> None:
    whole = loaded(None)
    assert (whole["traceEvents"], whole["otherData"]["state"]) == ([], "running")


@pytest.mark.parametrize("wish", [5, 1.5, b"trace.json", "", ["trace.json"]])
def test_what_is_no_path_is_refused(wish: object) -> None:
    with pytest.raises(OptionError, match="trace of run is the path"):
        check_trace(wish)


def test_a_path_stays_the_same_file_when_the_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_trace("trace.json") == str(tmp_path / "trace.json")
    assert check_trace(Path("trace.json")) == str(tmp_path / "trace.json")
    assert [check_trace(None), check_trace(False), check_trace(True)] == [False, False, True]


def test_a_file_that_cannot_be_written_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"cannot be written: No such file or directory"):
        begin_trace_file(str(tmp_path / "no" / "trace.json"))
    with pytest.raises(OptionError, match=r"cannot be written: Is a directory"):
        begin_trace_file(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_at_the_end_a_file_that_cannot_be_written_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_trace(str(tmp_path / "gone" / "trace.json"), LINE)
    assert "could not be written" in caplog.text


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"before")
    file.chmod(0o640)

    def chunks() -> Any:
        yield b"half"
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        write_whole(str(file), chunks())
    assert file.read_bytes() == b"before"
    write_whole(str(file), [b"be", b"hind"])
    assert file.read_bytes() == b"behind"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(str(tmp_path / "link"), [b"text"])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"text"


def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(str(fifo), [b"text"])
        assert os.read(reader, 100) == b"text"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_what_the_stdout_is_may_be_a_pipe() -> None:
    """`/dev/stdout` is a link to a name that is no path, `/proc/7/fd/pipe:[11]`."""
    code = """
import sys
from minipipe.observe.trace_wish import begin_trace_file
from minipipe.observe.whole_file import write_whole
begin_trace_file("/dev/stdout")
write_whole("/dev/stdout", [b"text"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"text"  # and nothing before it, as of a file that is replaced


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127])
def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path, name: str) -> None:
    write_whole(str(tmp_path / name), [b"text"])
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_what_no_file_can_be_called_is_refused_as_what_cannot_be_written(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(OptionError, match="no file can be called so"):
        begin_trace_file(str(tmp_path / name))
    assert not list(tmp_path.iterdir())
