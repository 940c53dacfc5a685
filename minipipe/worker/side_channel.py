"""What a worker says beside its prints: records of its log, and what it displays in a notebook.

By a pipe, and before the call goes on: so it is there also if the worker is killed right after.
"""

from __future__ import annotations

import itertools
import os
import select
from typing import Any

import msgpack

from minipipe.protocol.run.chunks import chunks


class SideChannel:
    """The end of that pipe in a worker; any thread, and any process that it forks, may write.

    Args:
        fd: of the pipe.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._numbers = itertools.count()

    def send(self, kind: str, fields: dict[str, Any]) -> bool:
        """Says it, and waits until the pipe has it; False if there is nobody any more.

        Args:
            fields: plain data: nothing is pickled.
        """
        message = msgpack.packb([kind, fields], unicode_errors="surrogatepass")
        try:
            for chunk in chunks(message, os.getpid(), next(self._numbers), select.PIPE_BUF):
                os.write(self._fd, chunk)  # it is short enough to be taken whole
        except OSError:  # the caller reads no more, or the functor has closed it
            return False
        return True
