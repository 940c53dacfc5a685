"""The counters of a run, and the table that shows them."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from minipipe.protocol.run.link_use import LinkUse
from minipipe.protocol.run.stats import RunStats, WorkerStats
from minipipe.protocol.run.stats_table import QUICK_NOTE

NOTHING = WorkerStats(
    **{
        f.name: "local"
        if f.name == "host"
        else ""
        if f.type == "str"
        else None
        if f.name == "item"
        else 0
        if f.name not in ("path", "durations")
        else ()
        for f in fields(WorkerStats)
    }
)
READ = replace(
    NOTHING,
    worker="read.0",
    segment="read",
    state="done",
    items_out=1_000_000,
    confirmed=999_990,
    kept_items=10,
)
TRAIN = replace(
    NOTHING, worker="train.0", segment="train", state="running", items_in=12, queued_items=3
)
TRAIN_1 = replace(
    TRAIN,
    worker="train.1",
    dropped=7,
    failed=2,
    busy_s=6.0,
    starved_s=2.0,
    blocked_s=0.5,
    own_s=1.5,
    cpu_s=3.2,
    bytes_in=15_000_000,
    bytes_out=99_999,
    memory_bytes=2_100_000_000,
    durations=(0, 2, *(0,) * 8, 1, *(0,) * 117),
)
TIMES, BYTES = ("busy", "starved", "blocked"), ("died", "B", "in", "B", "out")
RUN = RunStats("running", 12.34, (READ, TRAIN, TRAIN_1))


def test_a_worker_is_found_by_its_name() -> None:
    assert RUN["train.1"] is TRAIN_1


def test_an_unknown_worker_is_a_key_error_that_names_it() -> None:
    with pytest.raises(KeyError, match="tran"):
        RUN["tran.0"]


def test_a_segment_gives_its_workers_in_order() -> None:
    assert RUN.segment("train") == (TRAIN, TRAIN_1)
    assert RUN.segment("nobody") == ()


def test_the_tables_have_a_row_for_each_segment_and_each_of_several_workers() -> None:
    first, titles, *rows = str(RUN).splitlines()
    assert first == "running for 12.3 s"
    assert titles.split() == ["segment", "in", "out", *TIMES, "own", "p50", "p95", "p99"]
    assert [row.split() for row in rows[:4]] == [
        ["read", "0", "1M", *"-------"],
        ["train", "24", "0", "60%", "20%", "5%", "15%", "1.2us", "5.6us", "5.6us"],
        [".0", "12", "0", *"-------"],
        [".1", "12", "0", "60%", "20%", "5%", "15%", "1.2us", "5.6us", "5.6us"],
    ]
    assert rows[4] == ""
    assert [row.split() for row in rows[5:10]] == [
        ["segment", "state", "drop", "fail", "queue", "kept", *BYTES, "memory", "cpu"],
        ["read", "done", "0", "0", "0", "10", "0", "0", "0", "0", "0s"],
        ["train", "running", "7", "2", "6", "0", "0", "15M", "99999", "2.1G", "3s"],
        [".0", "running", "0", "0", "3", "0", "0", "0", "0", "0", "0s"],
        [".1", "running", "7", "2", "3", "0", "0", "15M", "99999", "2.1G", "3s"],
    ]
    assert rows[10:] == ["", QUICK_NOTE]


def test_the_tables_fit_80_columns_whatever_they_show() -> None:
    most = {f.name: 10**17 for f in fields(WorkerStats) if f.type == "int"}
    wide = replace(TRAIN_1, **most, worker="w" * 45, segment="train" * 9, state="starting")
    wide = replace(wide, cpu_s=1e4, busy_s=1.0, durations=(0,) * 105 + (2,) + (0,) * 22)
    lines = str(RunStats("running", 1.0, (READ, wide, wide))).splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line == line.rstrip() for line in lines)


def test_machines_have_a_column_if_there_are_several() -> None:
    waiting = replace(TRAIN_1, host="", state="starting")
    run = RunStats("running", 1.0, (READ, replace(TRAIN, host="b" * 20), waiting))
    lines = str(run).splitlines()
    at = next(i for i, line in enumerate(lines) if line.endswith("host"))
    shown = [line.split()[-1] for line in lines[at + 1 : at + 5]]
    assert shown == ["local", "bbbbbbbbbbb…", "bbbbbbbbbbb…", "-"]
    assert run.segments[1].hosts == ("b" * 20,)
    assert "host" not in str(RUN)


def test_links_have_a_line_each() -> None:
    used = LinkUse("b", 10.0, to_s=9.9, to_bytes=20_000_000, from_s=1.0, from_bytes=450)
    assert str(RunStats("running", 1.0, (READ,), (used,))).splitlines()[-2:] == [
        "",
        "link to b: 20M B there (99% of the time under way), 450 B from there (10%)",
    ]
    assert RunStats("running", 1.0, (READ,), (used,)).as_dict()["links"][0]["to_bytes"] == 2e7


def test_dead_workers_are_on_no_machine_but_where_all_are_dead() -> None:
    dead = replace(TRAIN, host="b", state="died")
    run = RunStats("running", 1.0, (READ, dead, replace(TRAIN_1, host="c")))
    assert run.hosts == ("local", "c")
    assert [segment.hosts for segment in run.segments] == [("local",), ("c",)]
    assert run.as_dict()["segments"][1]["workers"][0]["host"] == "b"
    assert RunStats("ended", 1.0, (dead,)).hosts == ("b",)


def test_who_has_died_before_in_a_place_is_counted() -> None:
    dead = replace(TRAIN_1, state="died", workers=40)  # long ago
    another = replace(TRAIN_1, state="died", workers=1)
    run = RunStats("running", 1.0, (dead, another, TRAIN, TRAIN_1))
    assert [worker.restarts for worker in run] == [0, 40, 0, 41]
    (segment,) = run.segments
    assert segment.total.restarts == 41
    assert (segment.total.workers, segment.total.state) == (2, "running")
    assert (segment.total.dropped, segment.total.memory_bytes) == (21, 2_100_000_000)
    assert segment.total.timed_calls == 9


def test_one_that_died_and_was_not_replaced_is_no_restart() -> None:
    (segment,) = RunStats("ended", 1.0, (replace(TRAIN_1, state="died"),)).segments
    assert (segment.total.restarts, segment.total.state) == (0, "died")


def test_as_dict_is_what_json_can_hold() -> None:
    known = json.loads(json.dumps(RUN.as_dict()))
    assert (known["state"], [s["name"] for s in known["segments"]]) == (
        "running",
        ["read", "train"],
    )
    train = known["segments"][1]
    assert train["dropped"] == 7 and train["p50_s"] == TRAIN_1.p50_s
    assert [w["worker"] for w in train["workers"]] == ["train.0", "train.1"]
    assert train["workers"][0]["p99_s"] is None and train["workers"][1]["timed_calls"] == 3


def test_a_run_without_workers_has_a_table_of_titles_only() -> None:
    assert len(str(RunStats("ended", 0.0, ())).splitlines()) == 4
