"""What goes against the stream: credit to producers, confirmations and drops to origins."""

from __future__ import annotations

from typing import Final

from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.delivery.paths import Path
from minipipe.stream import records
from minipipe.stream.arrived import Arrived
from minipipe.stream.inlet import Inlet
from minipipe.stream.outbox import Outbox

_GRANT: Final = records.Grant
_new: Final = tuple.__new__  # half the time of a named tuple's own


class Feedback:
    """Tells others what became of the items that they have sent."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def report_turn(self, inlet: Inlet) -> None:
        """Tells the origin what became of the items of the parcel in work."""
        if inlet.turn is None and not inlet.unconfirmed:
            return
        for parcel, runs in inlet.confirmations():
            self._acknowledge(records.Confirm, inlet, parcel, runs, parcel.path)
        drops = inlet.drops()
        if drops is not None:
            parcel, runs = drops
            self._acknowledge(records.Dropped, inlet, parcel, runs, parcel.path)

    def drop_at(self, inlet: Inlet, number: int, parcel: Arrived, path: Path) -> None:
        """Tells the origin of an item that nothing comes of it at this path beyond a fork."""
        self._acknowledge(records.Dropped, inlet, parcel, [(number, number + 1)], path)

    def _acknowledge(
        self,
        kind: type[records.Confirm] | type[records.Dropped],
        inlet: Inlet,
        parcel: Arrived,
        runs: list[Interval],
        path: Path,
    ) -> None:
        """Tells the origin of these items that they are confirmed, or dropped, at their path."""
        region, size = inlet.spec.region, parcel.size_bytes
        acknowledge = self._outbox.acknowledge
        acknowledge(parcel.origin, kind, region, parcel.epoch, path, runs, size_bytes=size)

    def grant(self, inlet: Inlet, *, idle: bool) -> None:
        """Tells the producers of an inlet what they may send, as far as that is news to them."""
        said = inlet.grants(idle=idle)
        if not said:
            return
        stream = inlet.spec.stream
        for producer, grant, given, freed_bytes in said:
            record = _new(
                _GRANT,
                (
                    stream,
                    grant.consumed,
                    grant.finished,
                    grant.window,
                    round(grant.service_time_s * 1e6),
                    grant.window_scale,
                    grant.is_ticket,
                ),
            )
            if freed_bytes is not None:
                self._outbox.send_batched(producer, record, freed_bytes)
                continue
            self._outbox.send(producer, record)
            if given is not None:
                self._outbox.send(producer, records.Recall(stream, given))
