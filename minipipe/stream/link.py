"""A link: everything that one worker sends to one other, in one FIFO order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from minipipe.protocol.delivery.intervals import Interval, IntervalSet
from minipipe.protocol.delivery.paths import Path
from minipipe.stream import records, wire
from minipipe.stream.fields import flat
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
        self._acknowledged: dict[tuple[Any, int, int, Path], list[Interval]] = {}

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
        self._records, self._held, self._acknowledged = [], [], {}
        if self._outlet is not None:
            self._outlet.close()

    def add(self, record: NamedTuple) -> None:
        """Sends `record` with the next flush, or before the next parcel."""
        self._records.append(record)

    def acknowledge(
        self,
        kind: type[records.Confirm] | type[records.Dropped],
        region: int,
        epoch: int,
        path: Path,
        runs: Sequence[Interval],
    ) -> None:
        """Says with the next flush what became of these items: of all that are alike, at once."""
        known = self._acknowledged.get((kind, region, epoch, path))
        if known is None:
            self._acknowledged[kind, region, epoch, path] = list(runs)
        else:
            known += runs

    def _acknowledgements(self) -> list[NamedTuple]:
        said: list[NamedTuple] = []
        for (kind, region, epoch, path), runs in self._acknowledged.items():
            merged = runs if len(runs) == 1 else list(IntervalSet(runs))
            said.append(kind(region, epoch, flat(merged), path))
        return said

    def flush(self, frames: Sequence[Buffer] = ()) -> None:
        """Sends what waits, as one message; `frames` are those of the last record.

        What could not be sent, as that raised, waits for the next flush, or `retry`.
        """
        waiting: list[NamedTuple] = self._records
        if self._acknowledged:  # before all else: what is said of the same items later counts
            waiting = [*self._acknowledgements(), *waiting]
        elif not waiting:
            return
        message: list[Buffer] = [self._writer.write(waiting)]
        if frames:
            message += frames
        if self._outlet is None or self._held:
            self._held.append(message)
        else:
            self._outlet.send(message)
        self._records = []
        if self._acknowledged:
            self._acknowledged = {}
