"""What workers say beside their prints, as it comes of their pipes."""

from __future__ import annotations

from typing import Any

import msgpack

from minipipe.process.describe import MAX_REPR, describe, in_a_line
from minipipe.protocol.run.chunks import Assembly
from minipipe.supervisor import displays, log_records


class SideChannelReader:
    """The messages of one worker.

    Args:
        segment, worker: whose they are.
    """

    def __init__(self, segment: str, worker: str) -> None:
        self._segment = segment
        self.worker = worker
        self._assembly = Assembly()
        self._failed: set[str] = set()

    def add(self, data: bytes) -> list[str]:
        """This has come: does what is said; returns what went wrong with that, in words.

        What the user's own code raises at it (a handler, a filter) is said once for each kind.

        Raises:
            ValueError: that is no message of ours.
        """
        return [text for message in self._assembly.add(data) if (text := self._take(message))]

    def _take(self, message: bytes) -> str:
        said = msgpack.unpackb(message, unicode_errors="surrogatepass")
        if not isinstance(said, list) or len(said) != 2 or not isinstance(said[1], dict):
            raise ValueError(f"no message of a worker's: {describe(said)}")
        kind, fields = said
        if kind == "display":
            return self._show(displays.checked(fields))
        if kind != "log":
            raise ValueError(f"no message of a worker's: {describe(kind)[:MAX_REPR]}")
        checked = log_records.checked(fields)
        try:
            log_records.handle(checked, self._segment, self.worker)
        except BaseException as error:  # of the user's handlers; nobody but this thread is here
            name, text = checked["name"], checked["msg"][:MAX_REPR]
            what = f"a record of worker {self.worker!r} for the logger {name!r} ({text!r})"
            return self._once(name, what, error)
        return ""

    def _show(self, said: dict[str, Any]) -> str:
        try:
            displays.show(said)
        except BaseException as error:  # of the notebook's publisher
            return self._once("display", f"what worker {self.worker!r} displays", error)
        return ""

    def _once(self, of: str, what: str, error: BaseException) -> str:
        key = f"{of} {type(error).__name__}"
        if key in self._failed:
            return ""
        self._failed.add(key)
        return f"{what} could not be handled: {in_a_line(error)}"
