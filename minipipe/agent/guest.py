"""One agent of a run, as its gateway has it."""

from __future__ import annotations

import math
import pickle
import time

from minipipe.agent.way import Way
from minipipe.agent.words import Word, say
from minipipe.protocol.run.link_use import LinkUse
from minipipe.supervisor.hosts.gateway_words import Package


class Guest:
    """One agent.

    Attributes:
        workers: that it was asked to start, and whose end it has not told.
        all_workers: and those whose end it has told: what they had sent may come behind that.
        lost_after_s: how long it may be silent.
        serial: of all agents that have joined; names are used again.
        peer_key: by which other agents know it; "": none come to it, or go there from it.
        endpoints: that they may go to.
    """

    def __init__(self, name: str, key: str, way: Way, lost_after_s: float) -> None:
        self.name, self.key, self.way = name, key, way
        self.lost_after_s = lost_after_s
        self.workers: set[int] = set()
        self.all_workers: set[int] = set()
        self.serial, self.peer_key, self.endpoints = 0, "", ""
        self.is_leaving = False
        self.notes = 0
        self.from_s, self.from_bytes = 0.0, 0  # of the items that it has sent
        self._since_s = math.nan  # its first items
        self._told = (0, 0)

    @property
    def listens(self) -> bool:
        """Whether other agents may come to it."""
        return bool(self.peer_key)

    def use(self) -> LinkUse | None:
        """What has gone over its link; None: nothing since last asked."""
        told = self.way.sent_bytes, self.from_bytes
        if told == self._told:
            return None
        if not any(self._told):
            self._since_s = time.monotonic() - max(self.way.under_way_s, self.from_s)
        self._told = told
        to = self.way.under_way_s, self.way.sent_bytes
        lasted_s = time.monotonic() - self._since_s
        return LinkUse(self.name, lasted_s, *to, self.from_s, self.from_bytes)

    def start(self, worker: int, package: Package) -> None:
        """Has it start a worker."""
        self.workers.add(worker)
        self.all_workers.add(worker)
        self.way.end.wait_longer(package.lost_after_s)
        self.lost_after_s = max(self.lost_after_s, package.lost_after_s)
        payload = pickle.dumps(package, protocol=5)
        self.way.say(say(Word.START, worker, frames=[payload]))
