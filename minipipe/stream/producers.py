"""Those that put to an inlet: what each of them has sent, and has credit for."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any

from minipipe.codec import Named
from minipipe.errors import WireFormatError
from minipipe.protocol.delivery.recent import Recent
from minipipe.protocol.flow.credit import UNLIMITED, WINDOW_BYTES, Grant, ServiceTime
from minipipe.protocol.wiring import InletSpec
from minipipe.stream.arrived import Arrived, Turn


@dataclass(slots=True)
class Producer:
    """Absolute counters towards one producer."""

    unlimited: bool = False  # it closes a loop
    arrived: int = 0
    consumed: int = 0
    finished: int = 0
    told: Grant | None = None
    freed_bytes: int = 0  # taken up since it was told
    classes: Recent[Named] = field(default_factory=Recent)  # whose definitions it has sent


class Producers:
    """The producers of one inlet, as far as they have said so.

    Attributes:
        by_ident: each of them.
    """

    def __init__(self, spec: InletSpec, pace: ServiceTime) -> None:
        self.by_ident: dict[int, Producer] = {}
        self._spec = spec
        self._pace = pace
        self._tells_all = False

    def hello(self, producer: int, segment: int) -> None:
        """A producer has said that it puts to this stream: it will get a grant."""
        known = self.by_ident.setdefault(producer, Producer())
        known.unlimited = segment in self._spec.unlimited

    def named(self, producer: int, said: Sequence[Any]) -> dict[bytes, Named]:
        """The classes that a parcel of this producer names by token.

        Args:
            said: each token, and the definition, or None if it came before.
        """
        kept = self.by_ident[producer].classes
        named: dict[bytes, Named] = {}
        for token, blob in zip(said[::2], said[1::2], strict=True):
            known = kept.get(token)
            if known is None:
                if blob is None:
                    raise WireFormatError(f"class {token!r:.80} is named and was never defined")
                known = Named(token, blob)
            named[token] = known
        kept.used(named)
        return named

    def forget(self, dead: Container[int]) -> None:
        """These wait for no credit any more."""
        for ident in [ident for ident in self.by_ident if ident in dead]:
            del self.by_ident[ident]

    def took(self, parcel: Arrived, count: int) -> None:
        """So many items of a parcel are worked off, or dropped."""
        producer = self.by_ident.get(parcel.producer)
        if producer is None:
            return  # it is dead, and waits for no credit
        producer.finished += count
        if parcel.whole is None:
            producer.consumed += count
            producer.freed_bytes += parcel.size_bytes

    @property
    def idents(self) -> list[int]:
        """The workers that put to the inlet."""
        return list(self.by_ident)

    def arrived_from(self) -> dict[int, int]:
        """How many items each producer's parcels brought."""
        return {ident: producer.arrived for ident, producer in self.by_ident.items()}

    @property
    def wait_for_room(self) -> bool:
        """Whether one has sent all that it has credit for."""
        return any(
            producer.told is not None
            and producer.arrived >= producer.told.consumed + abs(producer.told.window)
            for producer in self.by_ident.values()
        )

    def relieve(self) -> None:
        """Lets twice as much wait as now, and tells the producers at once."""
        self._pace.window_scale *= 2
        self.tell_all()

    def tell_all(self) -> None:
        """The next grants are news to all producers."""
        self._tells_all = True

    def grants(
        self, turn: Turn | None, *, withdraws: bool, is_alone: bool, idle: bool
    ) -> list[tuple[int, Grant]]:
        """What producers should hear now.

        Not every item is worth a message: a producer hears when half its window was taken up
        (of items, or of bytes),
        when the window has changed by half or doubled, and, where workers share the stream,
        whenever this one has nothing to do (the least loaded is chosen by that).

        Args:
            turn: the parcel in work.
            withdraws: the inlet drops what others could take.
            is_alone: there are no others.
            idle: there is nothing to do.
        """
        window, service_time_s = self._pace.window, self._pace.service_time_s
        tells_all, self._tells_all = self._tells_all, False
        due: list[tuple[int, Grant]] = []
        for ident, producer in self.by_ident.items():
            consumed, finished = producer.consumed, producer.finished
            if turn is not None and turn.parcel.producer == ident:
                consumed += turn.begun if turn.parcel.whole is None else 0
                finished += turn.finished
            told = producer.told
            if told is not None:
                assert consumed >= told.consumed and finished >= told.finished, (
                    consumed,
                    finished,
                    told,
                )
                new = consumed - told.consumed
                news = new > 0 or finished > told.finished
                if told.window < 0 and not news:
                    continue
                if not (
                    tells_all
                    or 2 * new >= told.window
                    or 2 * producer.freed_bytes >= WINDOW_BYTES * told.window_scale
                    or withdraws
                    or (window >= 2 * told.window and not producer.unlimited)
                    or (2 * window <= told.window and not producer.unlimited)
                    or (news and not is_alone and (idle or turn is not None))
                ):
                    continue
            allowed = UNLIMITED if producer.unlimited else window
            allowed = -allowed if withdraws else allowed
            producer.freed_bytes = 0
            producer.told = Grant(
                consumed, finished, allowed, service_time_s, self._pace.window_scale
            )
            due.append((ident, producer.told))
        return due
