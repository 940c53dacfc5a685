"""`run(trace=...)`: what it may be, and its file, which is there before anything starts."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from minipipe.errors import OptionError

if TYPE_CHECKING:
    from minipipe.observe.timeline import Timeline

logger = logging.getLogger("minipipe")


def check_trace(trace: Any) -> str | bool:
    """Where the trace of a run goes: a file (its absolute path); True: `report()` alone; False.

    Raises:
        OptionError: it is something else, or no file that could be written to.
    """
    if trace is None or isinstance(trace, bool):
        return bool(trace)
    path = os.fspath(trace) if isinstance(trace, os.PathLike) else trace
    if not isinstance(path, str) or not path:
        raise OptionError(
            "trace of run is the path of a file to be written, or True (for report() alone), got "
            f"{trace!r}"
        )
    return os.path.abspath(path)


def begin_trace_file(path: str) -> None:
    """The file is there, and says that nothing is known yet: valid, whatever becomes of the run.

    Raises:
        OptionError: it cannot be written.
    """
    from minipipe.observe.chrome import document
    from minipipe.observe.whole_file import is_stream, write_whole

    if is_stream(path) and not os.path.isdir(path):
        return  # it is given one document, and that is the one at the end
    try:
        write_whole(path, document(None))
    except OSError as error:
        raise OptionError(
            f"trace={path!r} of run cannot be written: {error.strerror or error} (nothing was "
            "started)"
        ) from error


def write_trace(path: str, timeline: Timeline) -> None:
    """The file says what every worker did when.

    The run is over: that this cannot be written any more is an error of the log's.
    """
    from minipipe.observe.chrome import document
    from minipipe.observe.whole_file import write_whole

    try:
        write_whole(path, document(timeline))
    except OSError as error:
        logger.error("the trace could not be written to %r: %s", path, error.strerror or error)
        return
    logger.info("trace: %s (ui.perfetto.dev and chrome://tracing show it)", path)
