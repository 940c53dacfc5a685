"""Tables of runs in plain text fit, and cannot write to the terminal."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minipipe.observe.plain import as_dict, of_run, of_runs, short, table, visible
from minipipe.observe.progress import Row, Sight

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
names = st.text(min_size=1, max_size=60)
shares = st.floats(0, 1)
counts = st.integers(0, 99_999)
rows = st.builds(
    Row, names, counts, st.floats(0, 99_999), shares, shares, shares,
    counts, st.integers(1, 999), st.just(0), st.just(0),
    st.sampled_from([("local",), ("local", "b"), ("a-long-name", "another-one"), ()]),
)  # fmt: skip
sights = st.builds(
    Sight,
    st.lists(rows, min_size=1, max_size=5).map(tuple),
    st.floats(0, 1e6),
    st.none() | counts,
    counts,
    st.none() | st.floats(0, 1e6),
)


@unhurried
@given(sights, st.integers(40, 200), st.text(max_size=200))
def test_a_run_fits_the_terminal_and_nothing_in_it_is_a_command(
    sight: Sight, width: int, verdict: str
) -> None:
    lines = of_run(sight, verdict, width)
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) <= width
    assert len(lines) > len(sight.rows)


@unhurried
@given(st.lists(st.tuples(names, counts, names, st.none() | sights)), st.integers(40, 200))
def test_a_list_of_runs_fits(runs: list[tuple[str, int, str, Sight | None]], width: int) -> None:
    lines = of_runs([(i[:8], pid, s, sight) for i, pid, s, sight in runs], width)
    assert len(lines) == 1 + len(runs)
    assert all(line.isprintable() for line in lines)
    assert max(len(line) for line in lines) <= max(width, 80)


def test_rows_are_laid_out() -> None:
    row = Row("decode", 1200, 34.5, 0.97, 0.02, 0.01, 4, 2, 3, 1)
    sight = Sight((row,), 65.0, 2400, 1200, 35.0)
    assert of_run(sight, "", 80) == [
        "segment  items  items/s  queued  workers  busy  starved  blocked",
        "decode   1,200     34.5       4        2   97%       2%       1%",
        "decode: 3 dropped, 1 died",
        "1,200 of 2,400 (50%), 35 s left",
    ]
    assert of_run(sight, "", 40)[:2] == [
        "segment  items  items/s  busy",
        "decode   1,200     34.5   97%",
    ]
    assert of_runs([("abcdefgh", 12, "train.py", sight), ("x", 0, "?", None)], 80) == [
        "program   pid       run        for  items/s  busiest",
        "train.py   12  abcdefgh       1:05     34.5   decode",
        "?           ?         x  no answer",
    ]
    assert as_dict(sight)["segments"][0]["items_per_s"] == 34.5


def test_names_are_cut_where_they_do_not_tell_them_apart() -> None:
    assert short("data/train/decode", 8) == "..decode"
    assert visible("a\x1b[2Jb\n") == "a?[2Jb?"
    assert table(("name", "n"), [("x" * 50, "1")], 20, 0) == [
        "name               n",
        f"..{'x' * 15}  1",
    ]


def test_machines_have_a_column_if_there_are_several() -> None:
    def row(*hosts: str) -> Row:
        return Row("work", 1, 1.0, 0.5, 0.0, 0.0, 0, 1, 0, 0, hosts)

    alone = Sight((row("local"), row()), 1.0, None, 0, None)
    assert not any(" on" in line for line in of_run(alone, "", 100))
    spread = Sight((row("local", "b"), row("a-long-name", "another")), 1.0, None, 0, None)
    lines = of_run(spread, "", 100)
    assert [line.split()[-2:] for line in lines[1:]] == [["local,", "b"], ["2", "hosts"]]
    assert lines[0].endswith("on")
    assert as_dict(spread)["segments"][0]["hosts"] == ["local", "b"]
