"""The counters of a run, and the table that shows them."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from minipipe.protocol.run.stats import RunStats, WorkerStats

NOTHING = WorkerStats(
    **{
        f.name: "" if f.type == "str" else None if f.name == "item" else 0
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
TRAIN_1 = replace(TRAIN, worker="train.1", dropped=7)
RUN = RunStats("running", 12.34, (READ, TRAIN, TRAIN_1))


def test_a_worker_is_found_by_its_name() -> None:
    assert RUN["train.1"] is TRAIN_1


def test_an_unknown_worker_is_a_key_error_that_names_it() -> None:
    with pytest.raises(KeyError, match="tran"):
        RUN["tran.0"]


def test_a_segment_gives_its_workers_in_order() -> None:
    assert RUN.segment("train") == (TRAIN, TRAIN_1)
    assert RUN.segment("nobody") == ()


def test_the_table_has_a_line_for_the_run_one_of_titles_and_one_for_each_worker() -> None:
    first, titles, *rows = str(RUN).splitlines()
    assert first == "running for 12.3 s"
    assert " ".join(titles.split()) == "worker state in out dropped confirmed kept queued"
    assert [row.split() for row in rows] == [
        ["read.0", "done", "0", "1000000", "0", "999990", "10", "0"],
        ["train.0", "running", "12", "0", "0", "0", "0", "3"],
        ["train.1", "running", "12", "0", "7", "0", "0", "3"],
    ]


def test_the_columns_of_the_table_are_aligned() -> None:
    _, *lines = str(RUN).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert all(line == line.rstrip() for line in lines)


def test_a_run_without_workers_has_a_table_of_titles_only() -> None:
    assert len(str(RunStats("ended", 0.0, ())).splitlines()) == 2
