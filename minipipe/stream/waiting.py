"""How a worker waits for messages: until one comes, or, where they come often, for several."""

from __future__ import annotations

from collections.abc import Sequence

from minipipe.protocol.flow.naps import NAP_S, Naps
from minipipe.stream import wire
from minipipe.stream.ends import Ends
from minipipe.stream.handover import Handover
from minipipe.stream.page import MESSAGES_IN, WAKEUPS
from minipipe.stream.probes import Probes
from minipipe.stream.reception import Reception
from minipipe.stream.time_use import BLOCKED, OWN, STARVED, TimeUse


class Waiting:
    """The waits of one worker's main thread.

    Attributes:
        napped: the last one did not end with the first message: there may be several now.
    """

    def __init__(
        self,
        ends: Ends,
        reception: Reception,
        probes: Probes,
        handover: Handover,
        time_use: TimeUse,
    ) -> None:
        self.napped = False
        self._reception = reception
        self._probes = probes
        self._handover = handover
        self._time_use = time_use
        inlets = list(ends.inlets.values())
        # Nobody waits for what it makes of an item, nor to hear that it has come.
        only_takes = not ends.outlets and len(inlets) == 1 and not inlets[0].spec.ordered
        self._producers = inlets[0].producers if only_takes else None
        self._naps = Naps()

    def wait(self, timeout_s: float, also: Sequence[int], *, may_nap: bool) -> wire.Message | None:
        """The next message, as `Reception.receive_within` gives it; None after a nap."""
        handover, time_use = self._handover, self._time_use
        handover.waiting = True
        time_use.enter(BLOCKED if self._probes.blocked else STARVED)
        self.napped = may_nap and self._producers is not None and self._is_nap_due()
        try:
            if self.napped:
                self._reception.nap(NAP_S)
                return None
            return self._reception.receive_within(timeout_s, also)
        finally:
            handover.waiting = False
            time_use.enter(OWN)
            handover.words[WAKEUPS] += 1

    def _is_nap_due(self) -> bool:
        producers = self._producers
        assert producers is not None
        if not self._naps.due(
            self._time_use.since_ns, self._handover.words[MESSAGES_IN], len(producers.by_ident)
        ):
            return False
        return not producers.wait_for_room
