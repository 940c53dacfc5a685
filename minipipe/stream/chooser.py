"""Who gets the next parcel of an outlet, and how many items may be in it."""

from __future__ import annotations

import time
from collections.abc import Container

from minipipe.protocol.delivery.ledger import Ledger
from minipipe.protocol.delivery.paths import ROOT, Path
from minipipe.protocol.delivery.recovery import Recovery
from minipipe.protocol.wiring import OutletSpec
from minipipe.stream.arrived import NOTHING_DONE, Done
from minipipe.stream.consumers import Consumers, Targets


class Chooser:
    """An outlet, as far as it chooses among its consumers.

    Attributes:
        room: how many more items those have credit for that are chosen for the next parcel.
        makes_ahead: an item is made before somebody has a place for it.  (What goes through an
            `Emitter` is made when it asks.)
    """

    def __init__(self, spec: OutletSpec, ident: int, recovery: Recovery | None) -> None:
        self.spec = spec
        self.consumers = Consumers(spec, ident)
        self.recovery = recovery  # None: it is stateless
        self.ledger: Ledger | None = None if recovery is None else recovery.ledger
        self.room = 0
        self.makes_ahead = False
        self._targets: Targets | None = None  # of the parcel under way
        self._path: Path = ROOT
        self._done: Done = NOTHING_DONE

    def flush(self) -> None:
        """Sends what waits; after a death some of it may have to go on waiting."""
        raise NotImplementedError

    @property
    def _whole(self) -> int:
        """How many of what waits could be sent now."""
        raise NotImplementedError

    def _items_for(self, room: int) -> int:
        """How many items could be added for which consumers have credit."""
        return room

    @property
    def ready(self) -> bool:
        """Whether an item could be added now: there is `room`."""
        if self.room > 0:
            return True
        if self._whole:
            self.flush()
            if self._whole:
                return False
        recovery = self.recovery
        if recovery is not None and (recovery.busy or recovery.ledger.full):
            return False
        if self._choose():
            return True
        if self.makes_ahead and self.consumers.must_listen:
            # It will be there when somebody has a place.  (A ticket that was kept for it meanwhile
            # would keep a consumer idle.)
            self.room, self._targets = self._items_for(1), None
            return True
        self._wait()
        return False

    @property
    def is_stuck(self) -> bool:
        """Whether an item waits for somebody to have a place for it."""
        return self._targets is None and self._whole > 0

    def _choose(self) -> bool:
        """Chooses who gets the next parcel; False if that is nobody now."""
        chosen = self.consumers.chosen(self._path, self._done)
        if chosen is None:
            return False
        self._targets, room = chosen
        self.room = self._items_for(room)
        return True

    def _wait(self) -> None:
        """What is here, or will be at once, waits for a ticket: consumers are to hear that."""
        late = self.consumers.late
        if late is not None and late.in_use:
            late.waits(time.monotonic())

    def choose_anew(self) -> None:
        """Those that were chosen may not be there, or have no place any more."""
        self.room, self._targets = 0, None

    def reconsider(self) -> None:
        """Time has passed since the consumer was chosen: another one may be the better by now."""
        if not self._whole and not self.consumers.sole:
            self.room = 0

    @property
    def held_up_by(self) -> list[int]:
        """The consumers that have no room; all of them, if it is the ledger that is full."""
        return self.consumers.held_up_by(full=self.ledger is not None and self.ledger.full)

    def forget(self, dead: Container[int]) -> None:
        """Sends nothing more to these."""
        self.consumers.forget(dead)
        self.choose_anew()

    def retire(self, consumer: int) -> None:
        """Sends nothing more to one that is to leave."""
        self.consumers.retire(consumer)
        self.choose_anew()

    def recalled(self, consumer: int, given: int) -> int:
        """A consumer has taken back what tickets of it are here; how many it was sent in all."""
        self.choose_anew()
        late = self.consumers.late
        return 0 if late is None else late.recalled(consumer, given)
