"""Credit: how many items may be under way from a producer to a consumer.

All counters are absolute, so a grant that is lost, repeated or overtaken does no harm.  The
consumer says how many items of this producer it has taken up and finished, how many may wait
(the window), and how long it needs for one (the service time); the producer derives the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

AUTO_WAIT_S: Final = 0.010  # an automatic window holds about this much work
AUTO_MIN_ITEMS: Final = 2
AUTO_FIRST_ITEMS: Final = 1  # until the first item is finished, nobody knows how slow a worker is
AUTO_MAX_ITEMS: Final = 4096  # an error of the service time by 1000 then costs seconds, not hours
HOLD_BACK_S: Final = 0.002  # a wait worth avoiding: more than a message there and back
WINDOW_BYTES: Final = 64 * 1024 * 1024
UNLIMITED: Final = 2**40  # the window of an edge that closes a loop


class Grant:
    """What a consumer tells a producer, for one stream.

    A negative window: it has ended and drops what comes, so that others are to be preferred.
    """

    __slots__ = (
        "consumed",
        "finished",
        "is_ticket",
        "service_time_s",
        "window",
        "window_scale",
    )

    def __init__(
        self,
        consumed: int,
        finished: int,
        window: int,
        service_time_s: float,
        window_scale: int = 1,
        is_ticket: bool = False,
    ) -> None:
        self.consumed = consumed
        self.finished = finished
        self.window = window
        self.service_time_s = service_time_s
        self.window_scale = window_scale  # how many times the usual number of bytes may wait
        # The window is what this producer has of the consumer's tickets (`protocol.flow.tickets`).
        self.is_ticket = is_ticket

    def __repr__(self) -> str:
        return (
            f"Grant(consumed={self.consumed}, finished={self.finished}, window={self.window}, "
            f"service_time_s={self.service_time_s:g}, is_ticket={self.is_ticket})"
        )


class ServiceTime:
    """How long a worker needs for an item, and from that, how many may wait for it."""

    def __init__(self, fixed: int | None = None, producers: int = 1) -> None:
        self.fixed = fixed
        self.producers = producers
        self.service_time_s = 0.0
        self._last_s = 0.0
        self.window_scale = 1  # a join lets more wait of one stream than fits, rather than block

    def observe(self, items: int, seconds: float) -> None:
        """Books that `items` took `seconds` together.

        Slow turns are believed when there are two of them, and quick ones by and by: too small a
        window costs a little time, too large a one binds work to a worker that is busy.  (A single
        slow one is often that another process had the processor.  If it is far slower, a fifth of
        it is enough for the smallest window.)
        """
        if items < 1:
            return
        now, before = seconds / items, self._last_s
        self._last_s = now
        if self.service_time_s == 0.0:
            keep = 0.0
        elif now > self.service_time_s and before > self.service_time_s:
            keep, now = 0.0, min(now, before)
        else:
            keep = 0.8**items
        # A mean of both, and not a step from one to the other, which would cancel digits.
        self.service_time_s = keep * self.service_time_s + (1.0 - keep) * now

    @property
    def window(self) -> int:
        """How many items each producer may have waiting here."""
        if self.fixed is not None:
            return max(1, -(-self.fixed // self.producers)) * self.window_scale
        if self.service_time_s <= 0.0:
            return AUTO_FIRST_ITEMS * self.window_scale
        fit = int(AUTO_WAIT_S / max(self.service_time_s, 1e-9)) // self.producers
        return max(AUTO_MIN_ITEMS, min(AUTO_MAX_ITEMS, fit)) * self.window_scale


@dataclass
class Account:
    """What a producer knows of one consumer of a stream."""

    consumer: int
    sent: int = 0
    consumed: int = 0
    finished: int = 0
    window: int = 0
    service_time_s: float = 0.0
    window_scale: int = 1
    waiting_bytes: int = 0
    last_sent: int = 0
    is_retiring: bool = False  # it is to leave: it gets nothing more, and still says what it took
    is_ticket: bool = False  # its window is what this producer has of its tickets
    wanted: int = 0  # so many items it was asked to allow in all, if it gives tickets
    free_at_s: float = 0.0  # when it will have finished what it has, as far as one can tell
    # Items up to here, bytes, and what is kept until they are taken up.
    parcels: deque[tuple[int, int, Any]] = field(default_factory=deque)

    @property
    def allowed(self) -> int:
        """How many items it may be sent in all."""
        return self.consumed + abs(self.window)

    @property
    def room_items(self) -> int:
        """How many more items it may be sent now."""
        window = abs(self.window)
        if self.waiting_bytes >= WINDOW_BYTES * self.window_scale and window < UNLIMITED:
            return 0
        return max(0, self.consumed + window - self.sent)

    def booked(
        self, items: int, size_bytes: int, turn: int, now_s: float, kept: object = None
    ) -> None:
        """Books a parcel as sent; `kept`, if not None, is given back when it was taken up."""
        self.sent += items
        self.free_at_s = max(self.free_at_s, now_s) + items * self.service_time_s
        self.last_sent = turn
        self.parcels.append((self.sent, size_bytes, kept))
        self.waiting_bytes += size_bytes

    def granted(self, grant: Grant, now_s: float) -> list[object]:
        """Takes a grant in, a late one changes nothing; returns what need not be kept any more."""
        if grant.consumed < self.consumed or grant.finished < self.finished:
            return []
        if grant.consumed > self.sent or grant.finished > grant.consumed:
            raise ValueError(f"{grant} does not fit {self.sent} items sent")
        if grant.finished > self.finished or grant.consumed > self.consumed:
            self.free_at_s = now_s + (self.sent - grant.finished) * grant.service_time_s
        self.consumed = grant.consumed
        self.finished = grant.finished
        self.window = grant.window
        self.service_time_s = grant.service_time_s
        self.window_scale = grant.window_scale
        self.is_ticket = grant.is_ticket
        back = []
        while self.parcels and self.parcels[0][0] <= self.consumed:
            _, size_bytes, kept = self.parcels.popleft()
            self.waiting_bytes -= size_bytes
            if kept is not None:
                back.append(kept)
        return back


class Accounts:
    """All consumers of one stream, as one producer sees them."""

    def __init__(self) -> None:
        self.give_tickets = False  # some of them do
        self._by_id: dict[int, Account] = {}
        self._retiring = 0  # how many of them are to leave
        self._turn = 0

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_id.values())

    def get(self, consumer: int) -> Account | None:
        return self._by_id.get(consumer)

    def add(self, consumer: int) -> None:
        self._by_id.setdefault(consumer, Account(consumer))

    def retire(self, consumer: int) -> None:
        """Chooses one no more that is to leave; what is kept for it stays until it is gone."""
        self._retiring += not self._by_id[consumer].is_retiring
        self._by_id[consumer].is_retiring = True

    def remove(self, consumer: int) -> list[object]:
        """Forgets a consumer that is dead, or gone; returns what was kept for it."""
        account = self._by_id.pop(consumer, None)
        if account is None:
            return []
        self._retiring -= account.is_retiring
        self._look_for_tickets()
        return [kept for _, _, kept in account.parcels if kept is not None]

    def granted(self, consumer: int, grant: Grant, now_s: float) -> list[object]:
        """Takes in what a consumer grants; returns what need not be kept for it any more."""
        account = self._by_id.get(consumer)
        if account is None:
            return []
        back = account.granted(grant, now_s)
        if grant.is_ticket is not self.give_tickets:
            self._look_for_tickets()
        return back

    def _look_for_tickets(self) -> None:
        self.give_tickets = any(account.is_ticket for account in self._by_id.values())

    def booked(
        self, consumer: int, items: int, size_bytes: int, now_s: float, kept: object = None
    ) -> None:
        """Books a parcel as sent; `kept`, if not None, is given back when it was taken up."""
        self._turn += 1
        self._by_id[consumer].booked(items, size_bytes, self._turn, now_s, kept)

    def room_items(self, consumer: int) -> int:
        account = self._by_id.get(consumer)
        return 0 if account is None else account.room_items

    def free_at_s(self, consumer: int) -> float:
        """When it will have finished what it has, as far as one can tell."""
        account = self._by_id.get(consumer)
        return account.free_at_s if account and account.sent > account.finished else 0.0

    def choose(self, now_s: float) -> int | None:
        """The consumer that would begin a further item first; None if it is best to wait.

        Among equals the one that was not sent to for longest.  Nothing is queued behind a busy
        worker while another one, though out of credit just now, would begin it much sooner:
        at the end of the stream that item would be waited for by all.  A worker with nothing
        to do always gets one.  Who gives tickets, and none to this producer, is not waited for: it
        may have nothing of this producer's, and be at work for others.
        """
        best: Account | None = None
        best_key = (0.0, 0, 0)
        soonest_s, goes_on = float("inf"), False
        for account in self._by_id.values():  # of which there may be many: each call counts
            window = account.window
            if window <= 0 or account.is_retiring:
                continue  # it has not said yet that it is there, or has ended, or is to leave
            goes_on = True
            has_room = account.sent < account.consumed + window and account.room_items > 0
            if account.is_ticket and not has_room:
                continue
            unfinished = account.sent - account.finished
            start_s = account.free_at_s - now_s if unfinished else 0.0
            if start_s < 0.0:
                start_s = 0.0
            if start_s < soonest_s:
                soonest_s = start_s
            if has_room:
                key = (start_s, unfinished, account.last_sent)
                if best is None or key < best_key:
                    best, best_key = account, key
        if best is None:
            return None if goes_on else self._end()
        if best_key[1] and best_key[0] > 2.0 * soonest_s + HOLD_BACK_S:
            return None
        return best.consumer

    def _end(self) -> int | None:
        """If all have ended: one that may be sent something, to drop it."""
        staying = [account for account in self._by_id.values() if not account.is_retiring]
        if any(account.window >= 0 for account in staying):
            return None
        return next((account.consumer for account in staying if account.room_items), None)

    @property
    def sole(self) -> bool:
        """Whether there is but one consumer, and so no choice."""
        return len(self._by_id) - self._retiring == 1

    def sent(self) -> dict[int, int]:
        """How many items each consumer was sent."""
        return {account.consumer: account.sent for account in self._by_id.values()}

    @property
    def occupancy(self) -> tuple[int, int]:
        """How many items wait at the consumers, not taken up yet, and how many may."""
        accounts = self._by_id.values()
        return (
            sum(account.sent - account.consumed for account in accounts),
            sum(abs(account.window) for account in accounts),
        )

    @property
    def consumers(self) -> list[int]:
        return list(self._by_id)

    @property
    def staying(self) -> list[int]:
        """The consumers that are not to leave."""
        return [account.consumer for account in self._by_id.values() if not account.is_retiring]
