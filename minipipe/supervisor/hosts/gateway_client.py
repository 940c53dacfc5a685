"""The gateway of a run as its supervisor has it: a process, and the socket pair to it."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any

from minipipe.errors import StartError
from minipipe.supervisor.hosts.gateway_words import Ask, Hearing, Said, Setup, Tell, packed
from minipipe.supervisor.hosts.interpreter import start_interpreter

START_S = 30.0
END_S = 3.0  # it gets so long to tell agents that the run is over

_CODE = """
from minipipe.agent.gateway import main
main(int(sys.argv[2]))
"""


class GatewayClient:
    """One gateway process.

    Raises:
        StartError: it cannot be started.
    """

    def __init__(self) -> None:
        self._process, ours = start_interpreter(_CODE, (), os.environ)
        self._control = ours
        self._hearing = Hearing(ours)

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self._hearing.has_ended

    def fileno(self) -> int:
        """A descriptor that is readable when `told` has something."""
        return self._control.fileno()

    def begin(self, setup: Setup) -> int:
        """Has it bind its port, which is returned.

        Raises:
            StartError: it cannot.
        """
        self.ask(Ask.SETUP, setup)
        until_s = time.monotonic() + START_S
        while not self.has_ended and (left_s := until_s - time.monotonic()) > 0:
            select.select([self._control], [], [], left_s)
            for word, fields in self._hearing.messages():
                if word == Tell.READY:
                    return int(fields[0])
                raise StartError(fields[0])
        raise StartError("the process that other machines would connect to has not come up")

    def told(self) -> Iterator[Said]:
        """What it has to say now."""
        return self._hearing.messages()

    def ask(self, word: Ask, *fields: Any, fds: Sequence[int] = ()) -> None:
        """Asks it for something.

        Args:
            fds: that it gets copies of.

        Raises:
            StartError: it cannot be given these.
        """
        message = memoryview(packed(word, *fields))
        try:
            self._control.setblocking(True)
            sent = socket.send_fds(self._control, [message], list(fds)) if fds else 0
            self._control.sendall(message[sent:])
        except (BrokenPipeError, ConnectionResetError):
            pass  # it is gone; `has_ended` will say so
        except OSError as error:
            raise StartError(
                f"cannot hand pipes to the process that other machines connect to: {error}"
            ) from error
        finally:
            self._control.setblocking(False)

    def close(self) -> None:
        """Ends it."""
        self.ask(Ask.END)
        try:
            # Others may have inherited the socket (a fork of the user's): closing is not enough.
            self._control.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is gone
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._control.close()
