"""What a worker has counted: for the status page, and for the end of a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minipipe.stream.page import WORD

if TYPE_CHECKING:
    from minipipe.stream.node import Node

Counts = list[tuple[int, int, int]]  # stream, the other worker, items


def publish(node: Node) -> None:
    """Writes the counters of `node` to its status page."""
    words = node.page.words
    queued = confirmed = 0
    for number, inlet in enumerate(node.inlets.values()):
        begun = inlet.turn.begun if inlet.turn is not None else 0
        if number == 0:  # a join takes an item of each of its streams for one call
            taken = inlet.items_in + begun - inlet.tombstones
            words[WORD["items_in"]] = taken if node.paired is None else node.paired
        waiting = inlet.queued_items - begun
        queued += waiting
        confirmed += inlet.confirmed
        node.page.put_fullness(number, waiting, inlet.pace.window * inlet.spec.producers)
    words[WORD["queued"]] = queued
    words[WORD["items_out"]] = sum(o.items_out - o.tombstones for o in node.outlets.values())
    ledgers = [recovery.ledger for recovery in node.recoveries.values()]
    if ledgers:
        confirmed = sum(ledger.next_number - ledger.open_items for ledger in ledgers)
        words[WORD["kept_items"]] = sum(ledger.open_items for ledger in ledgers)
        words[WORD["kept_bytes"]] = sum(ledger.open_bytes for ledger in ledgers)
        words[WORD["peak_items"]] = max(ledger.peak_items for ledger in ledgers)
        words[WORD["peak_bytes"]] = max(ledger.peak_bytes for ledger in ledgers)
    words[WORD["confirmed"]] = confirmed


def loop_counts(node: Node) -> tuple[Counts, Counts]:
    """What was sent to, and what has arrived from, each worker of the loop that `node` is in."""
    loop = next((spec.loop for spec in node.wiring.inlets), frozenset())
    workers = [*node.membership.peers, node.ident]
    inner = {ident for ident in workers if node.segment_of(ident) in loop}
    sent = [
        (stream, ident, count)
        for stream, outlet in node.outlets.items()
        for ident, count in outlet.sent_to().items()
        if ident in inner
    ]
    received = [
        (stream, ident, count)
        for stream, inlet in node.inlets.items()
        for ident, count in inlet.arrived_from().items()
        if ident in inner
    ]
    return sent, received
