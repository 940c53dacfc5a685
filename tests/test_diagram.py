"""The drawing of a pipeline: what stands in it, and that nothing a user writes can break it."""

from __future__ import annotations

import functools
import html
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.errors import MissingExtraError
from minipipe.graph import Graph, Part, line_graph, system_graph
from minipipe.pipeline.diagram import draw
from minipipe.segments.broadcast import Broadcast
from minipipe.segments.kinds import Regulator, Sink, Source, Transform
from minipipe.segments.segment import Segment
from minipipe.segments.streams import Stream

pytest.importorskip("graphviz")


def load() -> Iterator[int]:
    yield 1


def scale(x: Any) -> Any:
    return x


def pair(a: Any, b: Any) -> Any:
    return a, b


def cut() -> Any:
    yield


class Trainer:
    def run(self, batch: Any) -> None: ...

    def fit(self, batch: Any) -> None: ...


def line(*declared: Segment | Broadcast) -> Graph:
    return line_graph([Part(each) for each in declared])


def node(graph: Graph, name: str, **options: Any) -> str:
    """The statement that draws the segment of this name."""
    index = next(s.index for s in graph.segments if s.name == name)
    return statement(draw(graph, **options).source, f"s{index}")


def statement(source: str, subject: str) -> str:
    (found,) = re.findall(rf"^\s*{re.escape(subject)} (\[.*\])$", source, re.MULTILINE)
    return str(found)


def arrows(source: str) -> list[tuple[str, str, str]]:
    """Tail, head, attributes; without the ports."""
    return re.findall(r"^\s*(\w+) -> (\w+) (\[.*\])$", source, re.MULTILINE)


def pairs(source: str) -> list[tuple[str, str]]:
    return [(tail, head) for tail, head, _ in arrows(source)]


# ------------------------------------------------------------------ segments
def test_each_kind_has_a_shape_of_its_own() -> None:
    graph = line(Source(load), Transform(scale), Regulator(cut), Sink(scale))

    assert "shape=oval" in node(graph, "Source")
    assert "shape=box" in node(graph, "Transform")
    assert "shape=hexagon" in node(graph, "Regulator")
    assert "peripheries=2" in node(graph, "Sink")
    assert "rankdir=LR" in draw(graph).source


def test_a_transform_that_keeps_state_has_corners() -> None:
    graph = line(Source(load), Transform(scale), Transform(Trainer(), "train"), Sink(scale))

    assert 'style="filled,rounded"' in node(graph, "Transform")
    assert "rounded" not in node(graph, "train")


def test_a_segment_shows_its_name_and_in_small_its_functor() -> None:
    graph = line(Source(load, "files"), Transform(scale, "scale"), Sink(Trainer(), "Train"))

    assert '<<B>files</B><BR/><FONT POINT-SIZE="9">load</FONT>>' in node(graph, "files")
    assert "<<B>scale</B>>" in node(graph, "scale")
    assert '<FONT POINT-SIZE="9">Trainer</FONT>' in node(graph, "Train")


@pytest.mark.parametrize(
    ("functor", "name"),
    [
        (scale, "scale"),
        (lambda x: x, "lambda"),
        (functools.partial(functools.partial(pair, 1)), "pair"),
        (Trainer().fit, "Trainer.fit"),
        (Trainer(), "Trainer"),
        (Trainer, "Trainer"),
        (str.upper, "upper"),
        (print, "print"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_functor_is_called_what_its_author_calls_it(functor: Any, name: str) -> None:
    graph = line(Source(load), Sink(functor, "segment"))

    assert f">{name}</FONT>" in node(graph, "segment")


@pytest.mark.parametrize(
    ("functor", "name"),
    [([1, 2, 3], "list of 3"), (range(8), "range(0, 8)"), (load(), "load"), ({1}, "set of 1")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_source_that_is_no_functor_says_what_it_goes_through(functor: Any, name: str) -> None:
    assert f">{name}</FONT>" in node(line(Source(functor), Sink(scale)), "Source")


def test_a_kind_of_segment_made_of_another_is_called_by_its_class() -> None:
    class Rows(Regulator):
        pass

    graph = line(Source(load), Rows(cut, "shuffle"), Sink(scale))

    assert ">Rows</FONT>" in node(graph, "shuffle")
    assert "shape=hexagon" in node(graph, "shuffle")


def test_several_workers_are_counted() -> None:
    graph = line_graph([Part(Source(load)), Part(Transform(scale), 4), Part(Sink(scale))])

    assert "\u00d7 4" in node(graph, "Transform")
    assert "4 workers" in node(graph, "Transform")
    assert "\u00d7" not in node(graph, "Sink")


def test_an_open_end_goes_to_the_callers_loop() -> None:
    graph = line(Source(load), Transform(scale))

    assert "<B>for</B> ... <B>in</B>" in node(graph, "(caller)")
    assert ("s1", "s2") in pairs(draw(graph).source)


# ------------------------------------------------------------------- streams
def test_a_broadcast_is_bold_and_goes_to_all() -> None:
    source = draw(line(Source(load), Broadcast([Sink(scale, "a"), Sink(scale, "b")]))).source

    assert "label=all" in statement(source, "t0")
    assert pairs(source) == [("s0", "t0"), ("t0", "s1"), ("t0", "s2")]
    assert all("penwidth" in attributes for _, _, attributes in arrows(source))


def test_shared_work_goes_to_any() -> None:
    jobs = Stream("jobs")
    graph = system_graph(
        [
            Source(load, "north", jobs),
            Source(load, "south", jobs),
            Sink(scale, "gpu", jobs),
            Sink(scale, "cpu", jobs),
        ]
    )
    source = draw(graph).source

    assert "label=any" in statement(source, "t0")
    assert pairs(source) == [("s0", "t0"), ("s1", "t0"), ("t0", "s2"), ("t0", "s3")]
    assert all("penwidth" not in attributes for _, _, attributes in arrows(source))


def test_several_producers_meet_at_their_only_consumer() -> None:
    jobs = Stream("jobs")
    graph = system_graph([Source(load, "a", jobs), Source(load, "b", jobs), Sink(scale, "c", jobs)])

    assert pairs(draw(graph).source) == [("s0", "s2"), ("s1", "s2")]


def test_the_arrows_of_a_switch_and_of_a_join_are_numbered() -> None:
    raw, left, right = Stream("raw"), Stream("left"), Stream("right")
    graph = system_graph(
        [
            Source(load, "load", raw),
            Transform(scale, "split", raw, [left, right]),
            Sink(pair, "join", [right, left]),
        ]
    )
    found = [attributes for tail, _, attributes in arrows(draw(graph).source) if tail == "s1"]

    assert ["taillabel=0" in each and "headlabel=1" in each for each in found] == [True, False]
    assert ["taillabel=1" in each and "headlabel=0" in each for each in found] == [False, True]


def test_streams_are_drawn_as_rectangles_with_their_buffers() -> None:
    graph = line_graph(
        [Part(Source(load, "load")), Part(Transform(scale, "scale"), 1, 7), Part(Sink(scale))]
    )
    source = draw(graph, draw_streams=True).source

    assert "load -&gt; scale" in statement(source, "t0")
    assert "buffer 7" in statement(source, "t0")
    assert "buffer auto" in statement(source, "t1")
    assert "shape=box" in statement(source, "t1")
    assert pairs(source) == [("s0", "t0"), ("t0", "s1"), ("s1", "t1"), ("t1", "s2")]


def test_a_drawn_stream_says_which_buffers_its_consumers_have() -> None:
    jobs = Stream("jobs", buffer_size=3)
    graph = system_graph(
        [Source(load, "a", jobs), Sink(scale, "b", jobs), Sink(scale, "c", jobs, buffer_size=5)]
    )

    assert "buffer 3 or 5" in statement(draw(graph, draw_streams=True).source, "t0")


def test_a_drawn_broadcast_says_so() -> None:
    graph = line(Source(load), Broadcast([Sink(scale, "a"), Sink(scale, "b")]))

    assert "to all, buffer auto" in statement(draw(graph, draw_streams=True).source, "t0")


# --------------------------------------------------------------------- loops
def fibonacci() -> Graph:
    a, b = Stream("a"), Stream("b")
    a.put(0)
    b.put(1)
    fib = Transform(pair, "fib", [a, b], [a, b])
    fib.set_term_flag(threading.Event())
    return system_graph([fib])


def crawler() -> Graph:
    urls, pages, found = Stream("urls"), Stream("pages"), Stream("found")
    return system_graph(
        [
            Source(load, "start", urls),
            Transform(print, "fetch", urls, pages),
            Transform(print, "parse", pages, [urls, found]),
            Sink(scale, "save", found),
        ]
    )


def backward(source: str) -> list[tuple[str, str]]:
    return [
        (tail, head)
        for tail, head, attributes in arrows(source)
        if "style=dashed" in attributes and "constraint=false" in attributes
    ]


def test_seeds_stand_where_they_come_from() -> None:
    source = draw(fibonacci()).source

    assert ">seed 0</FONT>" in statement(source, "s1")
    assert ">seed 1</FONT>" in statement(source, "s2")
    assert "seeds of b" in statement(source, "s2")


@pytest.mark.parametrize(
    ("seeds", "shown"),
    [([1, 2.5], "seed 1, 2.5"), ([0] * 4, "4 seeds"), (["x"], "1 seed"), ([10**5000], "1 seed")],
    ids=["numbers", "many", "text", "long number"],
)
def test_only_a_few_short_seeds_are_shown(seeds: list[Any], shown: str) -> None:
    stream = Stream("stream")
    for seed in seeds:
        stream.put(seed)
    graph = system_graph([Sink(scale, "sink", stream)])

    assert f">{shown}</FONT>" in statement(draw(graph).source, "s1")


def test_the_way_back_in_a_loop_is_dashed_and_does_not_turn_the_drawing_round() -> None:
    assert backward(draw(crawler()).source) == [("s2", "s1")]
    assert backward(draw(fibonacci()).source) == [("s0", "s0"), ("s0", "s0")]


def test_with_streams_drawn_the_way_back_leads_to_the_stream() -> None:
    assert backward(draw(crawler(), draw_streams=True).source) == [("s2", "t0")]


def test_a_loop_of_one_segment_alone_comes_back_from_its_stream() -> None:
    ring = Stream("ring", broadcast=True)
    ticks = Stream("ticks")
    graph = system_graph(
        [
            Source(load, "start", ticks),
            Transform(divmod, "step", [ticks, ring], ring),
            Sink(print, "save", ring),
        ]
    )

    assert backward(draw(graph).source) == [("t1", "s1")]


# ------------------------------------------------------------------ branches
def boxes(source: str) -> dict[str, list[str]]:
    """The nodes directly in each box, by its labels from the outermost inwards."""
    found: dict[str, list[str]] = {}
    path: list[str] = []
    for text in source.splitlines():
        if "subgraph" in text:
            path.append("")
        elif text.strip() == "}" and path:
            path.pop()
        elif path and not path[-1] and (label := re.search(r"label=<([^>]*)>", text)):
            path[-1] = label[1]
        elif path and (key := re.match(r"\s*([st]\d+) \[", text)):
            found.setdefault(" / ".join(path), []).append(key[1])
    return found


def test_each_named_branch_is_a_box() -> None:
    graph = line(
        Source(load),
        Broadcast({f"lr={lr}": [Transform(scale), Sink(Trainer(), "Train")] for lr in (0.1, 0.01)}),
    )
    source = draw(graph).source

    assert boxes(source) == {"lr=0.1": ["s1", "s2"], "lr=0.01": ["s3", "s4"]}
    assert "<<B>Train</B>" in statement(source, "s2")


def test_a_branch_in_a_branch_is_a_box_in_a_box_with_its_own_fork() -> None:
    inner = Broadcast({"x": Sink(scale), "y": Sink(scale)})
    graph = line(Source(load), Broadcast({"cnn": [Transform(scale), inner], "log": Sink(scale)}))

    assert boxes(draw(graph).source) == {
        "cnn": ["s1", "t0"],
        "cnn / x": ["s2"],
        "cnn / y": ["s3"],
        "log": ["s4"],
    }


def test_branches_without_names_have_no_box() -> None:
    assert boxes(draw(line(Source(load), Broadcast([Sink(scale), Sink(print)]))).source) == {}


# ---------------------------------------------------------------------- text
AWKWARD = 'a<b>&amp; "q" \\N \n \x00 \u00e9 \\'


def labels(source: str) -> list[str]:
    """The texts of all labels that are markup, which has to be XML."""
    found = re.findall(r"(?<=[\s\[])label=<(.*?)> (?:fillcolor|tooltip)=", source)
    texts = ["".join(ElementTree.fromstring(f"<l>{label}</l>").itertext()) for label in found]
    return [text.replace("\\\\", "\\") for text in texts]


@given(st.text(min_size=1).filter(lambda text: "/" not in text))
@settings(max_examples=60)
def test_whatever_a_user_writes_is_text(text: str) -> None:
    def functor(x: Any) -> None: ...

    def source_with(name: str) -> str:
        functor.__name__ = name
        graph = line(Source(load), Broadcast({name: Sink(functor, name)}))
        return str(draw(graph, draw_streams=True).source)

    source = source_with(text)

    source.encode()  # no half of a surrogate pair
    assert len(source.splitlines()) == len(source_with("name").splitlines())
    if text.isprintable():
        assert labels(source).count(text) == 2  # the box and the segment
    else:
        assert all(label.isprintable() for label in labels(source))


def test_a_long_name_is_cut_and_whole_in_the_tooltip() -> None:
    def functor(x: Any) -> None: ...

    functor.__name__ = "f" * 50
    found = node(line(Source(load), Sink(functor)), "Sink")

    assert f">{'f' * 29}...</FONT>" in found
    assert f"Sink: {'f' * 50}" in found


# ---------------------------------------------------------------- the extra
def test_the_same_pipeline_gives_the_same_drawing() -> None:
    def build() -> Graph:
        return line(Source(load), Broadcast({"a": Sink(scale), "b": [Transform(scale)]}))

    assert draw(build()).source == draw(build()).source


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "graphviz", None)

    with pytest.raises(MissingExtraError, match=r"diagram\(\) needs the package graphviz"):
        draw(line(Source(load)))


@pytest.mark.skipif(shutil.which("dot") is None, reason="only rendering needs the program dot")
@pytest.mark.parametrize("draw_streams", [False, True])
def test_dot_renders_it(draw_streams: bool) -> None:
    graph = line(
        Source(load, AWKWARD), Broadcast({AWKWARD: Sink(scale, AWKWARD), "b": Sink(scale)})
    )

    svg = draw(graph, draw_streams=draw_streams).pipe(format="svg", encoding="utf-8")

    shown = 'a<b>&amp; "q" \\N \\n \\x00 \u00e9 \\'
    texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.text]
    assert {shown, f"{shown}_0", f"{shown}_1"} & set(texts) == {shown}
    assert texts.count(shown) == 3  # the source, the branch and its sink
    tooltips = [html.unescape(each) for each in re.findall(r'xlink:title="([^"]*)"', svg)]
    assert len(tooltips) > 4
    alike = shown.replace("\\", "\N{REVERSE SOLIDUS OPERATOR}")
    assert all(alike in each for each in tooltips if not each.startswith(("Sink b/", "branch b")))
