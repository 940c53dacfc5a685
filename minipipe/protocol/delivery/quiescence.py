"""Quiescence: when a loop of segments has come to rest, seen by its workers' reports alone.

Each worker of the loop reports when it is passive, with how many items it has sent and got on
each channel of the loop since the start.  Reports are of different moments, and by the time they
arrive the worker may be at work again.  Still: once all members have reported, and on every
channel the last reported sent equals the last reported received, nothing happens any more.

For suppose that something happens after a worker's last report, and take the first such event.
A passive worker acts on arrivals only, so it is the arrival of an item, on some channel.  Its
producer had sent it before its own last report, or the sending would be the earlier event.  So it
is counted as sent and not as received, and as the counts are equal, another item on that channel
is counted as received and not as sent: it was sent after the producer's last report, and that is
an earlier event.

Equal sums over all channels would not do.  An item that is sent after its producer's report and
has arrived by its consumer's makes up for one that is still under way on another channel: stale
reports cancel out.  Hence a vector of counts: F. Mattern, "Algorithms for distributed termination
detection", Distributed Computing 2 (1987) 161-175, doi:10.1007/BF01782776.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Channel = tuple[int, int, int]  # stream, producing worker, consuming worker
Counts = Mapping[Channel, int]  # items since the start; a channel left out has not changed


class Quiescence:
    """What the supervisor knows of the workers of one loop.

    All reports of one worker arrive in the order it sent them; nothing else about order matters.
    """

    def __init__(self, workers: Iterable[int]) -> None:
        self._workers = frozenset(workers)
        if not self._workers:
            raise ValueError("a loop has at least one worker, got none")
        self._unheard = set(self._workers)
        self._ended: set[int] = set()
        self._sent: dict[Channel, int] = {}
        self._received: dict[Channel, int] = {}
        self._uneven: set[Channel] = set()  # where sent and received differ
        self._at_rest = False

    @property
    def at_rest(self) -> bool:
        """Whether no worker has anything to do and nothing is under way; it then stays so."""
        return self._at_rest

    def quiet(self, worker: int, sent: Counts, received: Counts) -> None:
        """Books that this worker was passive, with these counts.

        Passive: nothing is queued, the functor is idle, what came of it has been sent, and all
        inputs from outside the loop are closed.  So it does nothing until an item arrives.

        Raises:
            ValueError: a report that cannot be; nothing of it is booked.
        """
        if worker in self._ended:
            raise ValueError(f"worker {worker} reports as passive, but it has ended")
        self._book(worker, sent, received)

    def ended(self, worker: int, sent: Counts, received: Counts) -> None:
        """Books that this worker only drops what arrives and sends nothing, now and ever after.

        It goes on reporting what it has received, or the channels to it would never be even.

        Raises:
            ValueError: a report that cannot be; nothing of it is booked.
        """
        if worker in self._ended:
            for channel, count in sent.items():
                if count != self._sent.get(channel, 0):
                    raise ValueError(
                        f"worker {worker} has ended with {self._sent.get(channel, 0)} items sent "
                        f"on {channel}, now it reports {count}"
                    )
        self._book(worker, sent, received)
        self._ended.add(worker)

    def _book(self, worker: int, sent: Counts, received: Counts) -> None:
        if worker not in self._workers:
            raise ValueError(
                f"a report of worker {worker}, but the loop is of workers {sorted(self._workers)}"
            )
        for what, counts, before, end in (
            ("sent", sent, self._sent, 1),
            ("received", received, self._received, 2),
        ):
            for channel, count in counts.items():
                if channel[end] != worker or not self._workers.issuperset(channel[1:]):
                    raise ValueError(
                        f"worker {worker} reports items {what} on {channel}, a channel (stream, "
                        f"producer, consumer) that is another's, or leads out of the loop"
                    )
                if count < before.get(channel, 0):
                    raise ValueError(
                        f"worker {worker} reports {count} items {what} on {channel}, after "
                        f"{before[channel]}: counts are since the start and never go back"
                    )
        self._sent.update(sent)
        self._received.update(received)
        for channel in (*sent, *received):
            if self._sent.get(channel, 0) == self._received.get(channel, 0):
                self._uneven.discard(channel)
            else:
                self._uneven.add(channel)
        self._unheard.discard(worker)
        # Kept, not computed: workers that are told to end may send a last word.
        self._at_rest = self._at_rest or not (self._unheard or self._uneven)
