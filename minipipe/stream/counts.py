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
    queued = confirmed = 0
    for number, inlet in enumerate(ends.inlets.values()):
        begun = inlet.turn.begun if inlet.turn is not None else 0
        if number == 0:  # a join takes an item of each of its streams for one call
            taken = inlet.items_in + begun - inlet.tombstones
            words[WORD["items_in"]] = taken if paired is None else paired
        waiting = inlet.queued_items - begun
        queued += waiting
        confirmed += inlet.confirmed
        page.put_fullness(number, waiting, inlet.pace.window * inlet.pace.producers)
    words[WORD["queued"]] = queued
    words[WORD["items_out"]] = sum(o.items_out - o.tombstones for o in ends.outlets.values())
    ledgers = [recovery.ledger for recovery in ends.recoveries.values()]
    if ledgers:
        confirmed = sum(ledger.next_number - ledger.open_items for ledger in ledgers)
        words[WORD["kept_items"]] = sum(ledger.open_items for ledger in ledgers)
        words[WORD["kept_bytes"]] = sum(ledger.open_bytes for ledger in ledgers)
        words[WORD["peak_items"]] = max(ledger.peak_items for ledger in ledgers)
        words[WORD["peak_bytes"]] = max(ledger.peak_bytes for ledger in ledgers)
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
