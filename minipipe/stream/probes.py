"""A join's question whether a stream is empty because another one is full, at a worker's sockets.

Decided in `protocol.flow.chasing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from minipipe.protocol.flow.chasing import Chase, Question
from minipipe.stream import records
from minipipe.stream.ends import Ends
from minipipe.stream.inlet import Inlet
from minipipe.stream.outbox import Outbox
from minipipe.stream.outlet import Outlet


class Probes:
    """What a worker waits for, and what it says of that.

    Attributes:
        hungry: the main thread waits for input.
        blocked: the outlets that it waits for room on.
        full: of a join: the streams that were found to keep another one empty.
    """

    def __init__(self, ident: int, ends: Ends, outbox: Outbox) -> None:
        self.hungry = False
        self.blocked: Sequence[Outlet] = ()
        self.full: set[int] = set()
        self._ends = ends
        self._outbox = outbox
        self._chase = Chase(ident)

    def ask(self, empty: Iterable[Inlet]) -> None:
        """Asks the producers of these streams; the answer, if there is one, is in `full`."""
        self.full.clear()
        self._send(self._chase.ask({inlet.spec.stream: inlet.producers.idents for inlet in empty}))

    def on_probe(self, probe: records.Probe) -> None:
        """Somebody has asked this node, as a producer or consumer of the stream."""
        if self._chase.is_answer(probe.join, probe.number, down=probe.down):
            self.full.add(probe.stream)
            return
        empty: dict[int, Iterable[int]] = {}
        if self.hungry:
            for inlet in self._ends.inlets.values():
                if not (inlet.queue or inlet.turn or inlet.ended):
                    empty[inlet.spec.stream] = inlet.producers.idents
        full = {outlet.spec.stream: outlet.held_up_by for outlet in self._holding()}
        self._send(self._chase.passed_on(probe.join, probe.number, empty=empty, full=full))

    def _holding(self) -> list[Outlet]:
        """The outlets whose consumers could let this node go on.

        Of a sender whose ledger is full, those of the whole region: any of them may have what is
        open.
        """
        full = {o.spec.region for o in self.blocked if o.ledger is not None and o.ledger.full}
        outlets = self._ends.outlets.values()
        return [o for o in outlets if o in self.blocked or (o.ledger and o.spec.region in full)]

    def _send(self, questions: Iterable[Question]) -> None:
        for question in questions:
            self._outbox.send(question.worker, records.Probe(*question[1:]))
