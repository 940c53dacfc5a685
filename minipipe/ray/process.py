"""The process of an agent on a node of Ray: `minipipe agent`, which ends with its actor.

Its standard input is a pipe that the actor holds the other end of: an actor that Ray has killed
says nothing any more, and would leave its agent behind, in the place of the next one.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

LEAVE_S = 30.0  # to leave the run properly


def main() -> None:
    """Runs the command; its arguments are those of this program."""
    threading.Thread(target=_end_with_parent, name="minipipe-parent", daemon=True).start()
    sys.argv[:] = ["minipipe", "agent", *sys.argv[1:]]
    runpy.run_module("minipipe", run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LEAVE_S)
    os.kill(os.getpid(), signal.SIGKILL)
