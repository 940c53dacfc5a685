"""Late binding: a producer decides who gets an item when somebody has a free place for it.

The producer's side of `protocol.flow.tickets`.  An item that finds no ticket waits.  Its producer
says so to two of the consumers that give tickets, then to four others, and so on: whoever idles, or
becomes free, will be among them.  When another item is to be expected, that is said with the item
before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from minipipe.protocol.flow.credit import Account, Accounts
from minipipe.protocol.flow.tickets import AHEAD_ITEMS

OFFER_S: Final = 0.002  # an item waits this long before it is said of it that it waits
RETRACT_S: Final = 0.010  # and nothing has come for this long when it is said that there is no more
FIRST_ASKED: Final = 2  # how many consumers are asked first
NEVER_S: Final = float("inf")


class LateBinding:
    """A producer's part, for one stream.

    Args:
        ident: of the producer: whom it asks first.
        accounts: the consumers of the stream.

    Attributes:
        is_waiting: there is an item that nobody has a ticket for.
        due_s: when there may be something to say.
    """

    def __init__(self, ident: int, accounts: Accounts) -> None:
        self._ident = ident
        self._accounts = accounts
        self._asked = 0  # how many were asked lately, and so, who is next
        self._breadth = FIRST_ASKED
        self.is_waiting = False
        self._has_waited = False  # the item that is sent next found no ticket
        self._is_quick = False  # it was there as soon as the one before had gone
        self._sent_s = -NEVER_S
        self.due_s = NEVER_S

    @property
    def in_use(self) -> bool:
        """Whether some consumer gives tickets: then it may ask for them back at any time."""
        return self._accounts.give_tickets

    def waits(self, now_s: float) -> None:
        """There is an item that nobody has a ticket for."""
        if not self.is_waiting:
            self.is_waiting = self._has_waited = True
            self.due_s = now_s + OFFER_S
            self._is_quick = now_s - self._sent_s <= OFFER_S
            if not self._is_quick:  # else it is one of many
                self._breadth = FIRST_ASKED

    def rests(self) -> None:
        """No item waits any more: it was dropped."""
        self.is_waiting = self._has_waited = False
        self._look_after(self._sent_s)

    def sends(self, consumer: int, now_s: float) -> int:
        """An item is sent now, the only one there is; what is wanted of its consumer.

        Returns:
            So many items in all is this one to be allowed; 0: there is nothing to say.
        """
        is_quick = self._is_quick if self._has_waited else now_s - self._sent_s <= OFFER_S
        more = AHEAD_ITEMS if is_quick else int(self._has_waited)
        self.is_waiting = self._has_waited = False
        self._sent_s = now_s
        account = self._accounts.get(consumer)
        wanted = 0
        gives = account is not None and account.is_ticket and not account.is_retiring
        if account is not None and gives and more and account.room_items <= 1:
            wanted = account.wanted = account.sent + 1 + more
        self._look_after(now_s)
        return wanted

    def _look_after(self, sent_s: float) -> None:
        """Looks again whether what was said to be wanted still is."""
        self.due_s = sent_s + RETRACT_S if any(True for _ in self._open()) else NEVER_S

    def offers(self, now_s: float) -> list[tuple[int, int]]:
        """Whom to tell now how many items it should allow: consumer, and items in all."""
        if now_s < self.due_s:
            return []
        if self.is_waiting:
            return self._ask(now_s)
        self.due_s = NEVER_S
        said = []
        for account in self._open():  # there is nothing for them any more
            account.wanted = account.sent
            said.append((account.consumer, account.sent))
        return said

    def _ask(self, now_s: float) -> list[tuple[int, int]]:
        left = [
            account
            for account in self._accounts
            if account.is_ticket
            and not account.is_retiring
            and account.wanted <= account.sent
            and not account.room_items
        ]
        self.due_s = now_s + OFFER_S if left else NEVER_S
        if not left:
            return []
        # Each producer begins elsewhere, so that not all ask the same ones.
        first = (self._ident * FIRST_ASKED + self._asked) % len(left)
        chosen = (left[first:] + left[:first])[: self._breadth]
        self._asked += len(chosen)
        self._breadth *= 2
        for account in chosen:
            account.wanted = account.sent + 1
        return [(account.consumer, account.wanted) for account in chosen]

    def _open(self) -> Iterator[Account]:
        """The consumers that were told that a ticket of theirs is wanted, and have given none."""
        for account in self._accounts:
            if account.is_ticket and account.wanted > account.allowed:
                yield account

    def heard(self, now_s: float) -> None:
        """A consumer has said what it allows: it may be one that was not asked yet."""
        if self.is_waiting and self.due_s == NEVER_S:
            self.due_s = now_s + OFFER_S

    def recalled(self, consumer: int, given: int) -> int:
        """A consumer has taken back what was not used; so many items it was sent in all.

        Args:
            given: how many it would have allowed.
        """
        account = self._accounts.get(consumer)
        if account is None:
            return 0
        if account.sent < given:  # the consumer forgets what was wanted, too
            account.wanted = min(account.wanted, account.sent)
        return account.sent
