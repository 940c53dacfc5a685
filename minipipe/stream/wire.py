"""Messages between processes: one msgpack head, then the out-of-band frames of a parcel.

    head = [version, run, sender, [record, ...]]      record = [op, field, ...]

Several records share a message (a grant rides on a confirmation), and at most one of them,
the last, is a parcel.  Every message carries run and sender; what does not belong is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgpack

from minipipe.errors import WireFormatError
from minipipe.protocol.delivery.intervals import Interval
from minipipe.protocol.delivery.paths import ROOT, Path
from minipipe.transport import Buffer

WIRE_VERSION = 1

# Between workers.  The body of a parcel is what the codec wrote (bytes), or, if it holds nothing
# but numbers that msgpack has itself, these, as a list: one packing less for each small item.
# `slots` are references to all shared memory that the body refers to: what has arrived is mapped
# at once, before it is confirmed.  `select`: of a parcel that is sent again, the positions in the
# body (flat intervals) of the items that are meant; nothing: all.  `classes`: each token of a class
# that the body names by it, and the definition, or None if the receiver has that
# (`protocol.delivery.recent`).
# I put to this stream, and you take from it.  Of a broadcast: where to subscribe, and whether also
# to what goes to everybody.
HELLO = 1  # stream, segment, address, publisher, with everybody
GRANT = 2  # stream, taken, finished, window, service time in microseconds, window scale
# The frames follow.
ITEMS = 3  # stream, epoch, origin, runs, path, done, select, keys, slots, classes, body
CONFIRM = 4  # region, epoch, runs, path
DROPPED = 5  # region, epoch, runs, path
CLOSE = 7  # region: this sender sends no more, and all it sent is settled
MARK = 6  # region, number: all below is settled
AT = 9  # region, number: the lowest that this receiver still holds
# Join, number, stream, down: is that join's stream empty as its other one is full?
# (`protocol.flow.chasing`)
PROBE = 11
FENCED = 10  # region, epoch, held: runs and path of what was taken and is not confirmed

# From the supervisor.
# Workers: how many each segment around has (segment, workers).
INIT = 20  # epochs (region, epoch), dead ids (intervals), peers, crash suspects, workers
JOIN = 21  # peer
START = 22
DRAIN = 23
LEAVE = 24
STOP = 25  # outcome
EXIT = 26
# A death: what is under way in the region is dropped.  Charged are items that workers have died of
# (segment, origin, number, outputs, how many): one is kept in a file before it is tried again, and
# dropped instead if it has killed two.
FENCE = 27  # region, epoch, dead ids (intervals), receivers, crash suspects

# To the supervisor.
BOUND = 40  # address
WIRED = 41
DONE = 42  # result of local_term, pickled
FAILED = 43  # failure, pickled
LOG = 44  # level, text; whether it is said once, whoever else says the same
REST = 45  # ended, sent, received: a worker in a loop has nothing to do (stream, peer, count)
ENDED = 46  # a segment in a loop has ended itself: its other workers are to leave
# Items that were skipped since the last such record: how many whose exception was ignored, and what
# the last of them said, or nothing; how many without a number failed, out of the segment's budget;
# those with one (origin, outputs gone through, flat intervals); the last of them, pickled, or b"".
SKIPPED = 48  # ignored, text, unnumbered, failed, failure
UNLOADABLE = 49  # failure, pickled: this worker cannot load its functor, and binds no inbox
# Region, epoch, items: this sender sends so many again.  Settled: what it knows to be done of the
# crash suspects (segment, number, outputs), so that nobody need hear of these any more.
RESENT = 47  # region, epoch, items, settled


class Message(NamedTuple):
    """One message, taken apart."""

    run: int
    sender: int
    records: Sequence[Sequence[Any]]
    frames: Sequence[Buffer]


class Writer:
    """Writes the heads of one sender's messages; one thread at a time."""

    def __init__(self, run: int, sender: int) -> None:
        self._run = run
        self._sender = sender
        self._pack = msgpack.Packer(use_bin_type=True, autoreset=True).pack

    def write(self, records: Sequence[Sequence[Any]]) -> bytes:
        """The head of a message."""
        head: bytes = self._pack((WIRE_VERSION, self._run, self._sender, records))
        return head


def read(buffers: Sequence[Buffer]) -> Message:
    """The message in `buffers`.

    Raises:
        WireFormatError: it is not one, or of another version.
    """
    try:
        version, run, sender, records = msgpack.unpackb(
            buffers[0], use_list=False, raw=False, strict_map_key=False
        )
    except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
        raise WireFormatError(f"a message without a readable head: {error}") from error
    if version != WIRE_VERSION:
        raise WireFormatError(
            f"a message in wire version {version!r}, this process speaks {WIRE_VERSION}: "
            "install the same MiniPipe everywhere"
        )
    return Message(run, sender, records, buffers[1:])


def flat(runs: Sequence[Interval]) -> Sequence[int]:
    """Intervals as a flat list of numbers, for a record."""
    if len(runs) == 1:
        return runs[0]
    return [number for run in runs for number in run]


def unflat(numbers: Sequence[int]) -> list[Interval]:
    """The intervals of a flat list."""
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def path_of(raw: Sequence[Any]) -> Path:
    """A path as it comes out of msgpack."""
    if not raw:
        return ROOT
    return tuple((output, tuple(mask)) for output, mask in raw)
