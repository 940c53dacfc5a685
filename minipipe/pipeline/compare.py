"""Timelines of several runs, one below the other in one picture, on one scale."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from minipipe.errors import LifecycleError, OptionError
from minipipe.observe.timeline import since_first_call
from minipipe.observe.whole_file import write_whole
from minipipe.pipeline.observed import Observed
from minipipe.pipeline.report import PICTURES, checked


def compare_timelines(path: str | os.PathLike[str], runs: Mapping[str, Observed]) -> Path:
    """Draws what was done when in the last runs of these pipelines, on one scale.

    Each begins with its first call: the start of its processes is not in the picture.

    Args:
        path: of a picture (.png, .svg, .pdf).
        runs: pipelines that were run with `trace=True`, or a path, by their titles; how long each
            took is added to that.

    Returns:
        The absolute path of the picture.

    Raises:
        LifecycleError: one of them has no timeline.
        OptionError: that is no path of a picture, or cannot be written.
        MissingExtraError: matplotlib is not installed (extra `viz`).
    """
    from minipipe.observe.picture import picture_of

    file = checked(path)
    if file.suffix.lower() not in PICTURES:
        raise OptionError(f"timelines are compared in a picture ({', '.join(PICTURES)}): {path!r}")
    drawn = []
    for title, pline in runs.items():
        timeline = pline.timeline()
        if timeline is None:
            raise LifecycleError(f"{title!r} has no timeline: run(trace=True) has it recorded")
        timeline = since_first_call(timeline)
        lasted_s = (timeline.ended_ns - timeline.began_ns) / 1e9
        drawn.append((f"{title}: {lasted_s:.1f} s", timeline))
    content = picture_of(drawn, file.suffix[1:].lower(), "seconds since the first call")
    try:
        write_whole(str(file), [content])
    except OSError as error:
        raise OptionError(f"{str(file)!r} cannot be written: {error.strerror or error}") from error
    return file
