"""What a command says of an error: where the user's code raised it, and nothing of us."""

from __future__ import annotations

import sys
import traceback
from types import TracebackType

from minipipe.errors import MiniPipeError, RemoteTraceback
from minipipe.process.frames import is_of

WRONG = 2  # the exit status of what was written wrongly, as argparse's


def tell(error: BaseException, command: str) -> None:
    """Writes an error to stderr: the traceback of the worker first, if it comes from one.

    Args:
        command: as it was typed.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, RemoteTraceback):
            print(str(cause).strip().strip('"').strip(), file=sys.stderr)
            print(file=sys.stderr)
        cause = cause.__cause__
    trace = _of_the_user(error.__traceback__)
    if trace is not None:
        traceback.print_exception(type(error), error.with_traceback(trace), trace)
        return
    text = "".join(traceback.format_exception_only(error)).strip()
    if isinstance(error, MiniPipeError):
        text = text.partition(": ")[2] or text  # its name says less than what it says
    print(f"{command}: {text}", file=sys.stderr)


def _of_the_user(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame on that is of the user's code."""
    while trace is not None and is_of("minipipe", trace.tb_frame):
        trace = trace.tb_next
    return trace
