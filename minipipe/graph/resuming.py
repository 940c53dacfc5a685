"""How a run of a graph can go on where another one was left, and what must be the same for that."""

from __future__ import annotations

from typing import Any

from minipipe.graph.graph import Graph
from minipipe.graph.parts import GraphSegment
from minipipe.protocol.frozen import frozen
from minipipe.segments.kinds import Source


@frozen
class ResumePlan:
    """How a run goes on.

    Attributes:
        why_not: what is in the way, and what to do; nothing: nothing is.
        at_source: its Sources go past what was delivered; else all is made once more, and what was
            delivered is left out in the loop.
        in_order: the items of each worker of a Source come to the loop in order.
        needs_seed: without one, what a Source yields may differ from run to run.
    """

    why_not: str = ""
    at_source: bool = False
    in_order: bool = True
    needs_seed: bool = True


def resume_plan(graph: Graph) -> ResumePlan:
    """How a run of this graph goes on where another one was left."""
    caller = graph.caller
    sinks = [s for s in graph.segments if s.kind == "sink"]
    if sinks:
        return ResumePlan(
            f"its Sink {sinks[0].name!r} keeps what it has made of the items itself, and would get "
            "them once more: leave the Sink away, and read the pipeline by a loop"
        )
    for segment in graph.segments:
        if isinstance(segment.declared, Source) and segment.declared.comes_once:
            return ResumePlan(
                f"what other programs send to {_named(segment)} does not come again, and a new run "
                "goes on with what they send next: leave the state away"
            )
    if caller is None:
        return ResumePlan("nothing comes out of it that a loop could read")
    flagged = next((s for s in graph.segments if s.flagged), None)
    if flagged is not None:
        return ResumePlan(f"{_named(flagged)} has a term flag, so its end is a matter of timing")
    region = graph.region_of(caller.inputs[0])
    senders = [graph.segments[i] for i in sorted(region.senders)]
    inner = [graph.segments[i] for i in sorted(region.stateless)]
    if len(senders) + len(inner) + 1 == len(graph.segments) and all(
        s.kind == "source" for s in senders
    ):
        inlet = graph.wiring(caller.index).inlets[0]
        if inlet.unforked:
            in_order = inlet.ordered or all(_is_in_order(s) for s in inner)
            sources = [s.declared for s in senders if isinstance(s.declared, Source)]
            repeats = in_order and all(source.repeats_unseeded for source in sources)
            return ResumePlan(at_source=True, in_order=in_order, needs_seed=not repeats)
    return ResumePlan(_disorder(graph, caller))


def _is_in_order(segment: GraphSegment) -> bool:
    """Whether a stateless segment passes items on as they come, without `ordered=True`."""
    return segment.n_processes == 1 and segment.threads == 1


def _disorder(graph: Graph, end: GraphSegment) -> str:
    """Why what comes to the loop would come in another order in another run; nothing: it would not.

    A seed repeats what comes of an item, and a segment with state repeats what it does with the
    same items in the same order.
    """
    todo = [end]
    while todo:
        segment = todo.pop()
        assert not segment.joins, "only a line has an end that is read"
        if not segment.inputs:
            continue
        inlet = graph.wiring(segment.index).inlets[0]
        number = segment.inputs[0]
        while True:
            stream = graph.streams[number]
            if len(stream.producers) > 1:
                names = " and ".join(repr(graph.segments[p].name) for p in stream.producers)
                return f"{names} put to one stream, in an order that is a matter of timing"
            producer = graph.segments[stream.producers[0]]
            if not producer.stateless:
                break
            if not inlet.ordered and not _is_in_order(producer):
                return (
                    f"{_named(producer)} has several workers, or threads, whose results come as "
                    "they get ready: give it ordered=True"
                )
            number = producer.inputs[0]
        if producer.n_processes > 1:
            return (
                f"each of the {producer.n_processes} workers of {_named(producer)} has a state of "
                "its own, and what comes to which is a matter of timing: give it one"
            )
        todo.append(producer)
    return ""


def _named(segment: GraphSegment) -> str:
    declared = segment.declared
    return f"{segment.kind} {segment.name!r}" if declared is None else declared.where


def facts_of(graph: Graph) -> list[dict[str, Any]]:
    """What must be the same in both runs, as plain values: of each segment, in order.

    How many workers a stateless segment has is not among it.
    """
    found: list[dict[str, Any]] = []
    for segment in graph.segments:
        declared = segment.declared
        if declared is None:
            continue
        about: dict[str, Any] = {"segment": declared.where}
        if not segment.stateless:
            about["n_processes"] = segment.n_processes
        feeders = {p for i in segment.inputs for p in graph.streams[i].producers}
        about["fed by"] = ", ".join(repr(graph.segments[p].name) for p in sorted(feeders))
        found.append({**about, **declared.facts()})
    return found
