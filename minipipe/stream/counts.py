"""What a worker has counted: for the status page, and for the end of a loop."""

from __future__ import annotations

from collections.abc import Container

from minipipe.stream.ends import Ends
from minipipe.stream.page import WORD, Page

Counts = list[tuple[int, int, int]]  # stream, the other worker, items


def publish(page: Page, ends: Ends, paired: int | None) -> None:
    """Writes the counters of a worker to its status page.

    Args:
        paired: of a join by identity: how many items it has put together.
    """
    words = page.words
    queued = confirmed = bytes_in = 0
    for number, inlet in enumerate(ends.inlets.values()):
        begun = inlet.turn.begun if inlet.turn is not None else 0
        if number == 0:  # a join takes an item of each of its streams for one call
            begun_items = inlet.turn.parcel.items_before(begun) if inlet.turn is not None else 0
            taken = inlet.items_in + begun_items - inlet.tombstones
            words[WORD["items_in"]] = taken if paired is None else paired
        waiting = inlet.queued_items - begun
        queued += waiting
        confirmed += inlet.confirmed
        bytes_in += inlet.bytes_in
        page.put_fullness(number, waiting, inlet.producers.room_items)
    words[WORD["queued"]] = queued
    words[WORD["bytes_in"]] = bytes_in
    words[WORD["bytes_out"]] = sum(outlet.bytes_out for outlet in ends.outlets.values())
    for number, outlet in enumerate(ends.outlets.values()):
        page.put_occupancy(number, *outlet.consumers.occupancy)
    words[WORD["items_out"]] = sum(o.items_out - o.tombstones for o in ends.outlets.values())
    # A ledger of bundles counts these; its last one may have fewer items.
    ledgers = [(recovery.ledger, ends.bundle_size(r)) for r, recovery in ends.recoveries.items()]
    if ledgers:
        confirmed = sum(size * ledger.settled_items for ledger, size in ledgers)
        if ends.bundlings:
            confirmed = min(confirmed, words[WORD["items_out"]])
        words[WORD["kept_items"]] = sum(size * ledger.open_items for ledger, size in ledgers)
        words[WORD["kept_bytes"]] = sum(ledger.open_bytes for ledger, _ in ledgers)
        words[WORD["peak_items"]] = max(size * ledger.peak_items for ledger, size in ledgers)
        words[WORD["peak_bytes"]] = max(ledger.peak_bytes for ledger, _ in ledgers)
    words[WORD["confirmed"]] = confirmed


def loop_counts(ends: Ends, inner: Container[int]) -> tuple[Counts, Counts]:
    """What was sent to, and what has arrived from, each worker of the loop that this one is in.

    Args:
        inner: the workers of the loop.
    """
    sent = [
        (stream, ident, count)
        for stream, outlet in ends.outlets.items()
        for ident, count in outlet.consumers.sent_to().items()
        if ident in inner
    ]
    received = [
        (stream, ident, count)
        for stream, inlet in ends.inlets.items()
        for ident, count in inlet.producers.arrived_from().items()
        if ident in inner
    ]
    return sent, received
