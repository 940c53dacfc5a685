"""What a pipeline looks like: its graph as a graphviz drawing, from left to right.

    oval        a Source; a small one: what a stream was seeded with
    box         a Transform: rounded if each item stands alone for it, else angular
    hexagon     a Regulator
    double box  a Sink
    dotted box  the caller's loop
    all         a broadcast: each segment behind it gets every item, by bold arrows
    any         shared work: each item goes to one of the segments behind it
    dashed      the way back in a loop

Numbers at arrows: which of several downstreams, which of several upstreams.  The kind is told
by the shape, so that a print in black and white has it; colours are tints of Okabe and Ito's
palette (https://jfly.uni-koeln.de/color/), which the colour-blind can tell apart.
"""

from __future__ import annotations

import functools
import html
import inspect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minipipe.errors import MissingExtraError
from minipipe.graph import Graph, GraphSegment, GraphStream
from minipipe.graph.loops import Edge
from minipipe.segments.kinds import Regulator, Sink, Source, Transform
from minipipe.segments.segment import Segment

if TYPE_CHECKING:
    from graphviz import Digraph

LONGEST = 32  # characters of a functor's or stream's name; the tooltip has all of it

_Attributes = dict[str, str]
_Arrow = tuple[str, str, _Attributes]  # tail, head

_INK = "#333333"
# A font that every viewer has, or has one as wide as: dot makes the boxes, the viewer the text.
_FONT = "Helvetica,Arial,sans-serif"
_GRAPH = {"rankdir": "LR", "nodesep": "0.3", "ranksep": "0.5", "fontname": _FONT}
_NODE = {"fontname": _FONT, "fontsize": "12", "color": _INK, "style": "filled", "height": "0.5"}
_EDGE = {
    "fontname": _FONT,
    "fontsize": "9",
    "fontcolor": _INK,
    "color": _INK,
    "arrowsize": "0.7",
    "labeldistance": "1.9",  # the number beside the arrow, neither on it nor on the box
    "labelangle": "-35",
}
_CLUSTER = {"style": "rounded", "color": "#999999", "fontsize": "11"}
_KINDS = {
    "source": {"shape": "oval", "fillcolor": "#cfe8f7", "margin": "0.06,0.02"},
    "seeds": {"shape": "oval", "fillcolor": "#cfe8f7", "margin": "0.04,0.02", "height": "0.3"},
    "transform": {"shape": "box", "fillcolor": "#f4f4f4", "margin": "0.15,0.08"},
    "regulator": {"shape": "hexagon", "fillcolor": "#fbe5b8", "margin": "0,0.02"},
    "sink": {"shape": "box", "fillcolor": "#cdebdf", "margin": "0.15,0.08", "peripheries": "2"},
    "caller": {"shape": "box", "fillcolor": "#f3dcea", "style": "filled,dotted", "penwidth": "1.5"},
}
_STREAM = {"shape": "box", "fillcolor": "white", "margin": "0.08,0.04", "height": "0.3"}
_STREAM_TO_ALL = {**_STREAM, "fillcolor": _INK, "fontcolor": "white"}
_HUB = {"shape": "circle", "fixedsize": "true", "width": "0.3", "height": "0.3", "fontsize": "9"}
_ALL = {**_HUB, "label": "all", "fillcolor": _INK, "fontcolor": "white"}
_ANY = {**_HUB, "label": "any", "fillcolor": "white"}
_BOLD = {"penwidth": "2.2"}
_BACK = {"style": "dashed", "constraint": "false"}  # it must not pull its end behind its beginning


@dataclass(frozen=True)
class _Node:
    key: str
    path: tuple[str, ...]  # the branches that it is in, outermost first
    attributes: _Attributes


def draw(graph: Graph, *, draw_streams: bool = False) -> Digraph:
    """A drawing of `graph`; to render it takes the program `dot` as well.

    Args:
        draw_streams: each stream is a rectangle, with its name and how many items may wait for
            each worker.

    Raises:
        MissingExtraError: the Python package graphviz is not installed.
    """
    try:
        import graphviz
    except ImportError:
        raise MissingExtraError("graphviz", "diagram()", "diagram") from None

    dot = graphviz.Digraph("pipeline", graph_attr=_GRAPH, node_attr=_NODE, edge_attr=_EDGE)
    hubs = [s for s in graph.streams if draw_streams or s.broadcast or len(s.consumers) > 1]
    nodes = [_segment_node(segment) for segment in graph.segments]
    nodes += [_stream_node(graph, stream, named=draw_streams) for stream in hubs]
    _add(dot, nodes, (), itertools.count())
    for stream in graph.streams:
        arrows = _arrows_by_hub(graph, stream) if stream in hubs else _arrows(graph, stream)
        for tail, head, attributes in arrows:
            dot.edge(tail, head, tooltip=_about(stream), **attributes)
    return dot


def _add(
    dot: Digraph, nodes: Sequence[_Node], path: tuple[str, ...], clusters: Iterator[int]
) -> None:
    """Puts nodes into the boxes of their branches."""
    inner: dict[str, list[_Node]] = {}
    for node in nodes:
        if node.path == path:
            dot.node(node.key, **node.attributes)
        else:
            inner.setdefault(node.path[len(path)], []).append(node)
    for branch, members in inner.items():
        # dot draws a box around a subgraph whose name begins like this.
        with dot.subgraph(name=f"cluster_{next(clusters)}", graph_attr=_CLUSTER) as box:
            box.attr(label=f"<{_text(branch)}>", tooltip=_tooltip(f"branch {branch}"))
            _add(box, members, (*path, branch), clusters)


# ------------------------------------------------------------------ nodes
def _segment_node(segment: GraphSegment) -> _Node:
    name, declared = segment.name.rpartition("/")[2], segment.declared
    if declared is None:
        label = f"<B>for</B> ... <B>in</B><BR/>{_small('your loop')}"
        kind, tooltip = "caller", "the caller's loop"
    elif name.startswith("seeds of ") and isinstance(declared.functor_obj, list):
        kind, label, tooltip = "seeds", _small(_seeds(declared.functor_obj)), name
    else:
        kind, called = segment.kind, _called(declared)
        label = f"<B>{_text(name)}</B>"
        tooltip = f"{kind.capitalize()} {segment.name}: {called}"
        if segment.n_processes > 1:
            label += f" \u00d7 {segment.n_processes}"
            tooltip += f", {segment.n_processes} workers"
        if called != name:
            label += f"<BR/>{_small(_short(called))}"
    attributes = {**_KINDS[kind], "label": f"<{label}>", "tooltip": _tooltip(tooltip)}
    if segment.stateless:
        attributes["style"] = "filled,rounded"
    return _Node(f"s{segment.index}", _path(segment), attributes)


def _stream_node(graph: Graph, stream: GraphStream, *, named: bool) -> _Node:
    """The node of a stream: a box with its name, or a small circle where it forks."""
    attributes = _ALL if stream.broadcast else _ANY
    if named:
        own = [graph.segments[i].buffer_size for i in stream.consumers]
        sizes = [stream.buffer_size if size is None else size for size in own]
        buffer = " or ".join(dict.fromkeys("auto" if s is None else str(s) for s in sizes))
        to_all = "to all, " if stream.broadcast else ""
        label = f"{_small(_short(stream.name))}<BR/>{_small(f'{to_all}buffer {buffer}')}"
        box = _STREAM_TO_ALL if stream.broadcast else _STREAM
        attributes = {**box, "label": f"<{label}>"}
    # It stands in the innermost branch that all its ends are in.
    ends = [_path(graph.segments[i]) for i in (*stream.producers, *stream.consumers)]
    levels = itertools.takewhile(lambda keys: len(set(keys)) == 1, zip(*ends, strict=False))
    path = tuple(keys[0] for keys in levels)
    return _Node(_hub(stream), path, {**attributes, "tooltip": _about(stream)})


def _path(segment: GraphSegment) -> tuple[str, ...]:
    """The branches that a segment is in: `lr=0.1/Train` is in `lr=0.1`."""
    return tuple(key for key in segment.name.split("/")[:-1] if key)


def _hub(stream: GraphStream) -> str:
    return f"t{stream.index}"


def _about(stream: GraphStream) -> str:
    return _tooltip(f"stream {stream.name}")


def _seeds(seeds: list[Any]) -> str:
    if len(seeds) <= 3 and all(isinstance(seed, float) or _is_short_int(seed) for seed in seeds):
        return f"seed {', '.join(repr(seed) for seed in seeds)}"
    return "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"


def _is_short_int(seed: Any) -> bool:
    # Python refuses to write very long ones.
    return isinstance(seed, int) and seed.bit_length() <= 32


# ----------------------------------------------------------------- arrows
def _arrows(graph: Graph, stream: GraphStream) -> Iterator[_Arrow]:
    """From each producer to the consumer."""
    (consumer,) = stream.consumers
    head = graph.segments[consumer]
    for producer in stream.producers:
        tail = graph.segments[producer]
        if Edge(producer, stream.index, consumer) in graph.loops.closing:
            attributes = _output(tail, stream, back=True)
            if producer != consumer:  # below the others, where it is seen to go back
                attributes = {**attributes, "tailport": "s", "headport": "s"}
        else:
            attributes = {**_output(tail, stream), **_input(head, stream)}
        yield f"s{producer}", f"s{consumer}", attributes


def _arrows_by_hub(graph: Graph, stream: GraphStream) -> Iterator[_Arrow]:
    """From the producers to the stream's own node, and on to the consumers."""
    hub, bold = _hub(stream), _BOLD if stream.broadcast else {}
    producers, consumers = set(stream.producers), set(stream.consumers)
    ways = [edge for edge in graph.loops.closing if edge.stream == stream.index]
    # An arrow stands for the ways of several; it is a way back if all of them are.
    back = {c for c in consumers if {e.producer for e in ways if e.consumer == c} == producers}
    for producer in stream.producers:
        closing = {edge.consumer for edge in ways if edge.producer == producer}
        returns = closing == consumers and not closing <= back
        number = _output(graph.segments[producer], stream, back=returns)
        yield f"s{producer}", hub, {**bold, **number}
    for consumer in stream.consumers:
        number = _input(graph.segments[consumer], stream, back=consumer in back)
        yield hub, f"s{consumer}", {**bold, **number}


def _output(producer: GraphSegment, stream: GraphStream, *, back: bool = False) -> _Attributes:
    """Which of several downstreams it is."""
    if len(producer.outputs) == 1:
        return _BACK if back else {"tailport": "e"}
    number = str(producer.outputs.index(stream.index))
    # In the middle of a way back: at the ends of short ones, numbers would lie on each other.
    return {**_BACK, "label": number} if back else {"taillabel": number}


def _input(consumer: GraphSegment, stream: GraphStream, *, back: bool = False) -> _Attributes:
    """Which of several upstreams it is."""
    if len(consumer.inputs) == 1:
        return _BACK if back else {"headport": "w"}
    number = str(consumer.inputs.index(stream.index))
    return {**_BACK, "label": number} if back else {"headlabel": number}


# ------------------------------------------------------------------- text
def _called(segment: Segment) -> str:
    """What the user calls that which the segment does: its functor, or a class such as Batch."""
    if type(segment) not in (Source, Transform, Regulator, Sink):
        return type(segment).__name__
    functor = segment.functor_obj
    while isinstance(functor, functools.partial):
        functor = functor.func
    if isinstance(functor, range):
        return repr(functor)
    if isinstance(functor, list | tuple | set | frozenset | dict):
        return f"{type(functor).__name__} of {len(functor)}"
    name = getattr(functor, "__name__", None)
    if not isinstance(name, str) or not name:
        return type(functor).__name__
    if inspect.ismethod(functor) and not isinstance(functor.__self__, type):
        return f"{type(functor.__self__).__name__}.{name}"
    return "lambda" if name == "<lambda>" else name


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _small(text: str) -> str:
    return f'<FONT POINT-SIZE="9">{_text(text)}</FONT>'


def _text(text: str) -> str:
    """Text that is itself, and no markup, inside a label of dot's."""
    # dot puts the name of the node for \N in markup, too; a doubled backslash is one.
    return html.escape(_visible(text)).replace("\\", "\\\\")


def _tooltip(text: str) -> str:
    """The same for a tooltip."""
    # How often dot reads a backslash there depends on what it is the tooltip of, so it gets a
    # character that looks like one.
    return _visible(text).replace("&", "&amp;").replace("\\", "\N{REVERSE SOLIDUS OPERATOR}")


def _visible(text: str) -> str:
    """Line breaks and control characters, which dot's XML cannot hold, as Python writes them."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
