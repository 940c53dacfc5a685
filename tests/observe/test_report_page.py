"""The page of a run: valid, self-contained; whatever users call their segments is text in it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.observe.load import SegmentLoad
from minipipe.observe.report_graph import Arrow, columns, graph_svg, rows
from minipipe.observe.report_page import Report, page
from minipipe.observe.timeline import Span, Timeline, Track
from minipipe.protocol.run.stats import RunStats, WorkerStats

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'<!--"
VOID = {"meta", "link", "rect", "path"}


def load(name: str, busy_s: float = 1.0, workers: int = 1, kind: str = "transform") -> SegmentLoad:
    return SegmentLoad(name, kind, True, workers, 5, 5, busy_s, 1.0, 1.0, 0.5)


def worker(name: str, segment: str) -> WorkerStats:
    counts = (0, 0, 0, 0, 0, 0, 0)
    return WorkerStats(name, segment, 42, "gone", 1234567, 5, *counts, 0, None, busy_s=1.0)


def report(names: list[str], timeline: Timeline | None = None, verdict: str = "") -> Report:
    return Report(
        loads=tuple(load(name) for name in names),
        arrows=tuple(Arrow(i, i + 1) for i in range(len(names) - 1)),
        stats=RunStats("ended", 12.3, tuple(worker(name, name) for name in names)),
        verdict=verdict,
        bottleneck=names[-1] if names else "",
        timeline=timeline,
        when="2026-01-01 12:00:00",
    )


def timeline(names: list[str]) -> Timeline:
    span = Span(5_000_000, 7_000_000, busy_ns=2_000_000, calls=1, number=3, origin=1)
    tracks = [
        Track(i, name, name, 42, 2_000_000, None, "running", (span,))
        for i, name in enumerate(names, 1)
    ]
    return Timeline(1_000_000, 9_000_000, tuple(names), tuple(tracks))


class Reader(HTMLParser):
    """What stands in a page; that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        (self.scripts if inside == "script" else self.texts).append(data)


def data_of(reader: Reader) -> Any:
    return json.loads(reader.scripts[0])


def test_whatever_segments_are_called_is_text() -> None:
    reader = Reader(page(report([HOSTILE, "b"], timeline([HOSTILE, "b"]), verdict=HOSTILE)))
    assert len(reader.scripts) == 2
    assert not [tag for tag, _ in reader.tags if tag == "img"]
    assert HOSTILE in reader.texts
    assert data_of(reader)["segments"] == [HOSTILE, "b"]


@settings(deadline=None)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=4, unique=True), st.booleans())
def test_any_names_make_a_page_whose_elements_are_closed(names: list[str], traced: bool) -> None:
    names = [name.encode("utf-8", "replace").decode() for name in names]
    reader = Reader(page(report(names, timeline(names) if traced else None)))
    rows = [tag for tag, _ in reader.tags if tag == "tr"]
    assert len(rows) == 1 + len(names)


def test_nothing_is_asked_of_the_network() -> None:
    text = page(report(["a", "b"], timeline(["a", "b"])))
    assert "default-src 'none'" in text
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text)
    assert not re.findall(r"url\((?!#)|@import|fetch\(|XMLHttpRequest|https?://", text)


def test_without_a_timeline_the_page_says_how_to_get_one() -> None:
    text = page(report(["a"]))
    assert "pline.run(trace=True)" in text
    assert "<canvas" not in text


def test_spans_are_seven_numbers_and_items_go_by_their_names() -> None:
    data = data_of(Reader(page(report(["a", "b"], timeline(["a", "b"])))))
    assert data["end"] == 8000
    assert data["items"] == ["item 3 of a"]
    assert data["tracks"][0] == {
        "segment": 0,
        "name": "a",
        "pid": 42,
        "born": 1000,
        "gone": 8000,
        "end": "running",
        "spans": [4000, 2000, 2000, 0, 0, 1, 1],
    }


def test_what_forgotten_workers_did_is_said_to_be_missing() -> None:
    line = timeline(["a"])
    lossy = Timeline(line.began_ns, line.ended_ns, line.segments, line.tracks, forgotten=7)
    assert "7 workers that died early are not shown" in page(report(["a"], lossy))


# ------------------------------------------------------------------------ the graph
def shown(*arrows: Arrow, count: int, bottleneck: str = "") -> ElementTree.Element:
    svg = graph_svg([load(f"s{i}") for i in range(count)], arrows, bottleneck)
    return ElementTree.fromstring(svg)


def test_the_bottleneck_alone_is_marked() -> None:
    svg = shown(Arrow(0, 1), count=2, bottleneck="s1")
    hot = [g for g in svg.iter("g") if "hot" in str(g.get("class"))]
    assert ["".join(g.itertext()).count("bottleneck") for g in hot] == [1]


def test_the_busier_the_hotter() -> None:
    svg = ElementTree.fromstring(graph_svg([load("a", 0.1), load("b", 9.0)], [Arrow(0, 1)], ""))
    heat = [float(str(r.get("fill-opacity"))) for r in svg.iter("rect") if r.get("class") == "heat"]
    assert heat[0] < 0.1
    assert heat[1] > 0.5


def test_where_nothing_is_known_of_shares_none_is_said() -> None:
    idle = SegmentLoad("a", "source", True, 1, 0, 5)
    assert "%" not in graph_svg([idle], [], "")


arrows = st.integers(1, 7).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.lists(
            st.builds(Arrow, st.integers(0, count - 1), st.integers(0, count - 1), st.booleans()),
            max_size=14,
        ),
    )
)


@settings(deadline=None)
@given(arrows)
def test_any_graph_is_drawn_and_no_box_stands_on_another(
    graph: tuple[int, list[Arrow]],
) -> None:
    count, its = graph
    svg = shown(*its, count=count)
    boxes = [g.get("transform") for g in svg.iter("g")]
    assert len(set(boxes)) == count
    wide, high = float(str(svg.get("width"))), float(str(svg.get("height")))
    for place in boxes:
        x, y = map(float, re.findall(r"[\d.]+", str(place)))
        assert 0 <= x <= wide - 164
        assert 0 <= y <= high - 78


@settings(deadline=None)
@given(arrows)
def test_whoever_is_fed_stands_behind_but_for_loops(graph: tuple[int, list[Arrow]]) -> None:
    count, its = graph
    forth = [Arrow(a.tail, a.head) for a in its if a.tail < a.head]  # so without a loop
    column = columns(count, forth)
    assert all(column[a.tail] < column[a.head] for a in forth)
    assert min(rows(column, forth)) == 0


def test_machines_have_a_column_if_there_are_several() -> None:
    made = report(["load", "work"])
    assert '<th scope="col">host</th>' not in page(made)
    load, work = made.stats.workers
    workers = (load, replace(work, host="<b>"))
    text = page(replace(made, stats=replace(made.stats, workers=workers)))
    assert '<th scope="col">host</th>' in text
    assert "<td>local</td>" in text and "<td>&lt;b&gt;</td>" in text
