"""The checked, frozen graph of a pipeline, and how declarations become one."""

from __future__ import annotations

from minipipe.graph.graph import Graph
from minipipe.graph.lines import Part, line_graph
from minipipe.graph.parts import GraphSegment, GraphStream, Region
from minipipe.graph.systems import system_graph

__all__ = [
    "Graph",
    "GraphSegment",
    "GraphStream",
    "Part",
    "Region",
    "line_graph",
    "system_graph",
]
