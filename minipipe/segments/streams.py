"""Streams, as the user declares them for a PipeSystem: what joins one segment to the next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minipipe.errors import BuildError, OptionError, reject_unknown
from minipipe.segments.legacy import QueueMethods, SeedQueue, without_effect
from minipipe.segments.options import check_buffer

OPTIONS = ("name", "buffer_size", "timeout", "monitor", "broadcast", "queue_type")


class Stream(QueueMethods):
    """A stream: any number of segments put to it and take from it.

    Each item goes to one of the segments that take from it, whichever is free first; with
    `broadcast=True` to every one of them.  What is put to it before the run (`put`, or
    `stream.q.put`) seeds it: every run begins with these items, until others are put to it.

    Args:
        name: shown in errors, logs and diagrams.
        buffer_size: how many items may wait for each consuming worker; None: automatic.
        timeout: accepted for programs written for 0.1.9, where it had no effect either.
        monitor: logs how full the stream is while it runs.
        broadcast: every segment that takes from it gets every item.

    Raises:
        OptionError: an option that does not exist, or with an impossible value.
    """

    def __init__(
        self,
        name: str = "stream",
        buffer_size: int | None = None,
        timeout: float | None = None,
        monitor: bool = False,
        *,
        broadcast: bool = False,
        **unknown: Any,
    ) -> None:
        reject_unknown(without_effect(unknown), OPTIONS, "Stream")
        if not isinstance(name, str) or not name:
            raise OptionError(f"the name of a stream is a text, got {name!r}")
        self.name = name
        self.timeout = timeout
        self.buffer_size = check_buffer(buffer_size, f"stream {name!r}")
        self.monitor = bool(monitor)
        if not isinstance(broadcast, bool):
            raise OptionError(f"broadcast of stream {name!r} is True or False, got {broadcast!r}")
        self.broadcast = broadcast
        self.q = SeedQueue()

    # What the stream holds before the run.
    @property
    def seeds(self) -> tuple[Any, ...]:
        """What was put to it before the run, in order; None is no item."""
        return tuple(self.q.items)

    def put(self, item: Any, timeout: float | None = None) -> None:
        """Seeds the stream with `item` (None is no item and is ignored, as everywhere)."""
        if item is not None:
            self.q.put(item)

    def __repr__(self) -> str:
        kind = ", broadcast" if self.broadcast else ""
        return f"<Stream {self.name!r}{kind}>"


def listed(streams: Any, what: str, where: str) -> tuple[Stream, ...]:
    """`streams` as a tuple: a Stream, several, or None.

    Raises:
        BuildError: something in it is no Stream.
    """
    if streams is None:
        return ()
    found = (streams,) if isinstance(streams, Stream) else streams
    if not isinstance(found, Iterable):
        raise BuildError(f"{what} of {where} is a list of mp.Stream, got {streams!r}")
    found = tuple(found)
    for stream in found:
        if not isinstance(stream, Stream):
            raise BuildError(f"{what} of {where} lists mp.Stream, got {stream!r} in it")
    if len({id(stream) for stream in found}) < len(found):
        raise BuildError(f"{what} of {where} lists the same stream twice: make another one")
    return found
