"""The guard of an agent: a process that says so at once when the agent was killed.

The kernel closes the connection of a process that is killed, and so it does when a router is
switched off, or a firewall has forgotten it: the run cannot tell these apart, and waits.  The guard
can: it holds one end of a pipe whose other end only the agent has.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minipipe.protocol.hosts.endpoints import Endpoint

DONE = b"."  # the agent has said itself what there was to say
SEND_S = 5.0
_KILLED = "the process of its agent was killed, or has ended by an error"

_CODE = """
import sys
sys.path.insert(0, sys.argv[1])
from minipipe.agent.guard import main
main(int(sys.argv[2]))
"""


class Guard:
    """The process, as the agent has it.

    Args:
        endpoints: of the run.
        server_key: the public key of the run.
        keys: of the agent: public, secret.
        directory: of the agent, which is removed if nobody else can do so any more.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        server_key: str,
        keys: tuple[str, str],
        directory: str,
    ) -> None:
        read, self._pipe = os.pipe()
        root = str(Path(__file__).parents[__name__.count(".")])
        command = [sys.executable, "-P", "-S", "-c", _CODE, root, str(read)]
        try:
            self._process = subprocess.Popen(
                command,
                pass_fds=[read],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # what ends the agent's group is not for it
            )
        finally:
            os.close(read)
        about = {"endpoints": list(map(list, endpoints)), "server": server_key, "keys": keys}
        about["directory"] = directory
        os.write(self._pipe, json.dumps({**about, "path": sys.path}).encode() + b"\n")

    def close(self, *, has_failed: bool = False) -> None:
        """The agent ends by itself.

        Args:
            has_failed: by an error, and so perhaps without a word: as if it had been killed.
        """
        if has_failed:
            os.close(self._pipe)
            return
        try:
            os.write(self._pipe, DONE)
        except BrokenPipeError:
            pass  # somebody has killed it
        os.close(self._pipe)
        self._process.wait()


def main(fd: int) -> None:
    """Waits for the end of the agent, whose pipe this is."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it outlives the agent, and nobody else
    with open(fd, "rb") as pipe:
        about = json.loads(pipe.readline())
        if pipe.read() != DONE:
            _say_killed(about)
            # A zygote does that, too; there may have been none yet.
            shutil.rmtree(about["directory"], ignore_errors=True)


def _say_killed(about: dict[str, Any]) -> None:
    sys.path[:] = about["path"]
    # Only now: most guards never need it.
    from minipipe.transport.hosts.obituary import send_obituary

    endpoints = [Endpoint(*one) for one in about["endpoints"]]
    until_s = time.monotonic() + SEND_S
    while time.monotonic() < until_s:
        if send_obituary(endpoints, about["server"], tuple(about["keys"]), _KILLED, SEND_S):
            return
        time.sleep(0.2)
