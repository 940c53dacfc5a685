"""A link: everything that one worker sends to one other, in one FIFO order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from minipipe.stream import wire
from minipipe.transport import Buffer, Outlet


class Link:
    """Records wait here until the next flush; a parcel takes them along and goes at once.

    The address may come later than the first record (a peer is confirmed to before its JOIN
    has come): then all waits for it.
    """

    def __init__(self, writer: wire.Writer) -> None:
        self._writer = writer
        self._outlet: Outlet | None = None
        self._records: list[NamedTuple] = []
        self._held: list[list[Buffer]] = []

    @property
    def is_open(self) -> bool:
        return self._outlet is not None

    def open(self, outlet: Outlet) -> None:
        """From now on messages can go."""
        self._outlet = outlet
        self._send_held(outlet)

    def _send_held(self, outlet: Outlet) -> None:
        while self._held:
            outlet.send(self._held[0])
            del self._held[0]

    def retry(self) -> None:
        """Sends what waits although it could have gone: sending it has failed before."""
        if self._outlet is not None:
            self._send_held(self._outlet)
            self.flush()

    def close(self) -> None:
        """Sends no more."""
        self._records, self._held = [], []
        if self._outlet is not None:
            self._outlet.close()

    def add(self, record: NamedTuple) -> None:
        """Sends `record` with the next flush, or before the next parcel."""
        self._records.append(record)

    def flush(self, frames: Sequence[Buffer] = ()) -> None:
        """Sends what waits, as one message; `frames` are those of the last record.

        What could not be sent, as that raised, waits for the next flush, or `retry`.
        """
        if not self._records:
            return
        message: list[Buffer] = [self._writer.write(self._records), *frames]
        if self._outlet is None or self._held:
            self._held.append(message)
        else:
            self._outlet.send(message)
        self._records = []
