"""`pline.report(path)`: a run as one page, or its timeline as a picture."""

from __future__ import annotations

import os
import time
from importlib.util import find_spec
from pathlib import Path

from minipipe.errors import LifecycleError, MissingExtraError, OptionError
from minipipe.graph import Graph
from minipipe.graph.graph import edges_of
from minipipe.observe import whole_file
from minipipe.observe.load import loads
from minipipe.observe.report_graph import Arrow
from minipipe.observe.report_page import Report, page
from minipipe.observe.whole_file import write_whole
from minipipe.pipeline.execution import Execution
from minipipe.pipeline.insight import segment_facts

PAGES = (".html", ".htm")
PICTURES = (".png", ".svg", ".pdf")


def write_report(path: object, graph: Graph, execution: Execution) -> Path:
    """Writes the report of a run, as `Observed.report` says."""
    file = checked(path)
    if file.suffix.lower() in PAGES:
        content = page(report_of(graph, execution)).encode()
    else:
        content = _picture(file, execution)
    try:
        write_whole(str(file), [content])
    except OSError as error:
        raise _refused(file, error) from error
    return file


def check_can_be_written(path: object) -> None:
    """Whether a report could be written there now, for who is to wait for the run.

    Raises:
        OptionError: it could not, as far as can be seen.
        MissingExtraError: it is a picture, and matplotlib is not installed.
    """
    file = checked(path)
    if file.suffix.lower() in PICTURES and find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "a picture of the timeline", "viz")
    try:
        whole_file.check_can_be_written(str(file))
    except OSError as error:
        raise _refused(file, error) from error


def _refused(file: Path, error: OSError) -> OptionError:
    return OptionError(f"report({str(file)!r}) cannot be written: {error.strerror or error}")


def checked(path: object) -> Path:
    """The file that the report goes to.

    Raises:
        OptionError: it is no path, or nobody knows what is to be in such a file.
    """
    if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
        raise OptionError(f"report() takes the path of a file, got {path!r}")
    file = Path(os.path.abspath(os.fspath(path)))
    if file.suffix.lower() not in (*PAGES, *PICTURES):
        raise OptionError(
            f"report({os.fspath(path)!r}): a report ends in {PAGES[0]} (a page), or in "
            f"{', '.join(PICTURES)} (a picture of the timeline)"
        )
    return file


def report_of(graph: Graph, execution: Execution) -> Report:
    """All that the page of this run is about."""
    stats, verdict = execution.stats(), execution.verdict()
    places = {segment.index: place for place, segment in enumerate(graph.segments)}
    arrows = [
        Arrow(places[edge.producer], places[edge.consumer], edge in graph.loops.closing)
        for edge in edges_of(graph.streams)
        if edge.producer in places and edge.consumer in places
    ]
    return Report(
        loads=loads(stats, segment_facts(graph)),
        arrows=tuple(dict.fromkeys(arrows)),
        stats=stats,
        verdict="" if verdict is None else str(verdict),
        bottleneck="" if verdict is None else verdict.bottleneck,
        timeline=execution.timeline(),
        when=time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(execution.began_at)),
        outcome=execution.outcome,
    )


def _picture(file: Path, execution: Execution) -> bytes:
    from minipipe.observe.picture import picture_of

    timeline = execution.timeline()
    if timeline is None:
        raise LifecycleError(
            f"report({file.name!r}) is a picture of the timeline, which nobody has asked for: "
            'run(trace=True), or run(trace="trace.json"), and then report()'
        )
    return picture_of([("", timeline)], file.suffix[1:].lower())
