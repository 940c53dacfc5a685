"""The checked, frozen graph of a pipeline, and how declarations become one."""

from __future__ import annotations

from minipipe.graph.from_pipeline import Part, line_graph
from minipipe.graph.from_system import system_graph
from minipipe.graph.graph import Graph
from minipipe.graph.parts import GraphSegment, GraphStream, Region

__all__ = [
    "Graph",
    "GraphSegment",
    "GraphStream",
    "Part",
    "Region",
    "line_graph",
    "system_graph",
]
