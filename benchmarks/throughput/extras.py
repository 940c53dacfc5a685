"""What is measured of MiniPipe alone: new arrays, a broadcast, and memory over a long stream."""

from __future__ import annotations

import math
import statistics
import sys
from dataclasses import dataclass

from benchmarks.row import Row
from benchmarks.throughput.contenders import SIZES
from benchmarks.throughput.running import Measurement, Peer, PeerError, run

MULTIPLY = Peer("multiply into mp.empty", "multiply_line")
LOOP = Peer("the same in one process", "multiply_loop")
STREAM = Peer("a long stream", "stream_line")
SIZE_BYTES = SIZES["9.6 MB"]
MULTIPLY_SIZE_BYTES = SIZES["38.5 MB"]
STREAM_SIZE_BYTES = 16_000_000
# A stream this slow would be a fault: raw pipes do ten times as much.
SLOWEST_BYTES_PER_S = 50e6


@dataclass(frozen=True)
class Extent:
    """How much is measured; smaller for a look whether it works."""

    repeats: int = 5
    items: int = 400
    """Of 9.6 MB, in one run."""
    stream_bytes: float = 4e9


def rows(extent: Extent) -> list[Row]:
    """The verdicts; one whose run failed is missed."""
    found = []
    for what, measure in (
        ("multiply into mp.empty", _multiply),
        ("broadcast to 4 trainers", _broadcast),
        ("memory over a long stream", _stream),
    ):
        print(f"... {what}", file=sys.stderr, flush=True)
        try:
            found.append(measure(extent))
        except PeerError as error:
            found.append(Row(what, str(error), "", math.nan, "", math.nan, None))
    return found


def _gb_per_cpu_s(measured: Measurement) -> float:
    """Bandwidth per core: what one core does in a second of its own, however many there are."""
    # A loop that took less than a tick of the kernel's clock: its wall time is what it used.
    return measured.bytes / 1e9 / (measured.cpu_s or measured.seconds)


def _multiply(extent: Extent) -> Row:
    """Both load by a copy and multiply into another array, so that the work is the same.

    The loop's two arrays are always the same and warm, which is the harder thing to compare with.
    """
    pairs = [
        (
            run(MULTIPLY, MULTIPLY_SIZE_BYTES, extent.items),
            run(LOOP, MULTIPLY_SIZE_BYTES, extent.items),
        )
        for _ in range(extent.repeats)
    ]
    ours, loop = (statistics.median(_gb_per_cpu_s(pair[side]) for pair in pairs) for side in (0, 1))
    wall = statistics.median(pair[0].bytes_per_s / 1e9 for pair in pairs)
    alone = statistics.median(pair[1].bytes_per_s / 1e9 for pair in pairs)
    return Row(
        "38.5 MB, load and np.multiply into mp.empty",
        f"{wall:.2f} GB/s ({ours:.2f} GB per CPU second)",
        f"one process on one core, warm arrays {alone:.2f} GB/s ({loop:.2f} GB per CPU second)",
        statistics.median(a.bytes_per_s / b.bytes_per_s for a, b in pairs),
        "x",
        0.8,
        1.0,
        larger_is_better=True,
    )


def _broadcast(extent: Extent) -> Row:
    """The time of the slowest of four trainers, beside that of a lone one."""
    four, one = (Peer(f"broadcast to {n}", "broadcast_line", arguments=(str(n),)) for n in (4, 1))
    pairs = [
        (
            run(four, SIZE_BYTES, extent.items).seconds,
            run(one, SIZE_BYTES, extent.items).seconds,
        )
        for _ in range(extent.repeats)
    ]
    return Row(
        f"9.6 MB broadcast to 4 trainers, {extent.items} items",
        f"{statistics.median(a for a, _ in pairs):.2f} s",
        f"to one {statistics.median(b for _, b in pairs):.2f} s",
        statistics.median(a / b for a, b in pairs),
        "x",
        1.3,
        1.1,
    )


def _stream(extent: Extent) -> Row:
    """Peak PSS of all processes together, the interpreter of each included."""
    items = max(round(extent.stream_bytes / STREAM_SIZE_BYTES), 2)
    measured = run(
        STREAM,
        STREAM_SIZE_BYTES,
        items,
        watch_memory=True,
        timeout_s=60 + extent.stream_bytes / SLOWEST_BYTES_PER_S,
    )
    if not measured.peak_bytes:
        raise PeerError("the memory of its processes could not be read")
    peak_mb = measured.peak_bytes / 1e6
    return Row(
        f"{extent.stream_bytes / 1e9:g} GB streamed in 16 MB arrays: peak PSS of all processes",
        f"{peak_mb:.0f} MB",
        f"{measured.bytes_per_s / 1e9:.2f} GB/s",
        peak_mb,
        " MB",
        500.0,
        300.0,
    )
