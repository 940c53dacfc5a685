"""The supervisor of a run that changes while it runs: joins, leaves, deaths, passes.

The rules are in tests/model/changes.py.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from minipipe.protocol.delivery.intervals import runs_of
from minipipe.protocol.delivery.membership import SUPERVISOR, Peer
from tests.model.members import RECEIVERS, SENDERS, Member, Value


@dataclass(frozen=True)
class Shape:
    """What to try.

    Attributes:
        stages: kind and workers of each: S Source, T stateless, A with state and in the middle;
            at the end F function Sink, K with state, O in order.
        items: of each Source in each pass.
        kills, falsely, hosts, joins, leaves, abandons: how often each may happen.
        without: a rule that is left out, to see that it is needed.
    """

    stages: tuple[tuple[str, int], ...] = (("S", 1), ("T", 2), ("K", 2))
    items: int = 2
    passes: int = 1
    drops: bool = False
    kills: int = 0
    falsely: int = 0
    hosts: int = 0
    joins: int = 0
    leaves: int = 0
    abandons: int = 0
    rate: float = 0.06
    without: str = ""


class Supervision:
    """All members, the links between them, and what the supervisor does."""

    def __init__(self, shape: Shape, seed: int) -> None:
        self.shape = shape
        self.random = random.Random(seed)
        self.takes_in: list[int] = []  # the region, by stage
        self.sends_in: list[int] = []
        region = 0
        for kind, _ in shape.stages:
            self.takes_in.append(region)
            region += kind == "A"
            self.sends_in.append(region)
        self.regions = region + 1
        self.ordered = shape.stages[-1][0] == "O"
        self.links: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
        self.members: dict[int, Member] = {}
        self.stage_of: dict[int, int] = {}
        self.silent: set[int] = set()  # killed, or gone
        self.gone = 0  # how many have left without a death
        # The supervisor.
        self.epochs = [0] * self.regions
        self.pass_ = 0
        self.done: set[int] = set()
        self.dead: set[int] = set()
        self.announced: list[int] = []
        self.leaving: set[int] = set()
        self.left_ids: set[int] = set()
        self.starting: list[int] = []
        self.unnoticed: list[tuple[int, ...]] = []  # deaths, those of a host together
        self.exited: list[int] = []
        self.restarts = 0
        self.charges: Counter[tuple[int, Value]] = Counter()
        # For the check.
        self.left_early: set[int] = set()
        self.seen: dict[int, Counter[Value]] = {}  # by stage
        self.ever: set[Value] = set()
        self.dropped: set[Value] = set()
        self.budget = {
            name: getattr(shape, name)
            for name in ("kills", "falsely", "hosts", "joins", "leaves", "abandons")
        }
        for stage, (_, count) in enumerate(shape.stages):
            for _ in range(count):
                self._make(stage)
        for ident in list(self.starting):
            self.announce(ident)

    def off(self, rule: str) -> bool:
        return self.shape.without == rule

    def post(self, source: int, target: int, message: tuple[Any, ...]) -> None:
        if target not in self.silent:
            self.links.setdefault((source, target), []).append(message)

    def senders(self, region: int) -> set[int]:
        of = self.stage_of
        return {
            i
            for i, m in self.members.items()
            if m.kind in SENDERS and self.sends_in[of[i]] == region
        }

    def receiving_stage(self, region: int) -> int:
        kinds = enumerate(self.shape.stages)
        return next(s for s, (k, _) in kinds if k in RECEIVERS and self.takes_in[s] == region)

    def is_poison(self, stage: int, value: Value) -> bool:
        condemned = self.charges[stage, value] >= 2
        if condemned and not self.off("a host charges nobody"):
            self.dropped.add(value)  # it was in two workers that died each by itself
        return condemned

    def given(self, member: Member, value: Value) -> None:
        """A receiver has an item."""
        if member.id in self.dead:
            return
        assert value[0] == member.pass_, f"an item of pass {value[0]} in pass {member.pass_}"
        counted = self.seen.setdefault(member.stage, Counter())
        counted[value] += 1
        assert counted[value] == 1, f"item {value} twice"
        if member.stage == len(self.shape.stages) - 1:
            self.ever.add(value)

    # ------------------------------------------------------------------ the supervisor
    def _make(self, stage: int) -> None:
        ident = len(self.members) + 1
        self.stage_of[ident] = stage
        self.members[ident] = Member(self, ident, stage)
        self.starting.append(ident)

    def announce(self, ident: int) -> None:
        self.starting.remove(ident)
        leaving = () if self.off("INIT without who leaves") else self.leaving
        peers = [Peer(i, self.stage_of[i], "") for i in self.announced if i not in leaving]
        epochs = list(enumerate(self.epochs))
        self._tell(ident, "init", epochs, self._dead_ids, peers, self.pass_)
        for member in self.announced:
            if not (self.off("leavers are members") and member in self.leaving):
                self._tell(member, "join", Peer(ident, self.stage_of[ident], ""))
        self.announced.append(ident)

    @property
    def _dead_ids(self) -> list[Any]:
        """Of whom nothing more comes: few intervals, as who has left is among them."""
        left = () if self.off("GONE counts") else self.left_ids
        return runs_of(sorted(self.dead.union(left)))

    def _tell(self, ident: int, *message: Any) -> None:
        self.post(SUPERVISOR, ident, message)

    def hear_done(self, source: int, pass_: int) -> None:
        is_now = pass_ == self.pass_ or self.off("the pass in DONE")
        if is_now and source not in self.dead:
            self.done.add(source)
        self._next_pass()

    def _next_pass(self) -> None:
        kinds = "S" if self.off("all DONE") else SENDERS + RECEIVERS
        needed = {i for i in self.announced if self.members[i].kind in kinds}
        if self.off("who has joined counts"):
            needed = {i for i in needed if i <= sum(count for _, count in self.shape.stages)}
        if self.pass_ < self.shape.passes and needed <= self.done:
            self.pass_ += 1
            self.done.clear()
            for ident in self.announced:
                hears = "S" if not self.off("DONE moves on") else SENDERS + RECEIVERS
                if self.members[ident].kind in hears and self.pass_ < self.shape.passes:
                    self._tell(ident, "start", self.pass_)

    def notice(self, dead: tuple[int, ...]) -> None:
        """Takes in deaths that are one event (11, 26)."""
        self.unnoticed.remove(dead)
        is_host = len(dead) > 1
        dead = tuple(ident for ident in dead if ident not in self.dead)
        if not dead:
            return
        self.restarts += len(dead) if self.off("a host is one restart") else 1
        events = self.shape.kills + self.shape.falsely + self.shape.hosts
        assert self.restarts <= events, "the run was stopped: too many restarts"
        for ident in dead:
            running = self.members[ident].running
            if running and (not is_host or self.off("a host charges nobody")):
                self.charges[self.stage_of[ident], running[3]] += 1
        self._bury(dead)

    def _bury(self, dead: tuple[int, ...]) -> None:
        self.dead |= {*dead}
        replaced = [ident for ident in dead if ident not in self.leaving]
        hit = {self.takes_in[self.stage_of[ident]] for ident in dead}
        self.announced = [ident for ident in self.announced if ident not in self.dead]
        self.starting = [ident for ident in self.starting if ident not in self.dead]
        self.leaving -= self.dead
        self._fence(sorted(hit), None)
        for ident in replaced:
            self._make(self.stage_of[ident])
        self._next_pass()

    def _fence(self, regions: list[int], pass_: int | None) -> None:
        said = []
        for region in regions:
            self.epochs[region] += 1
            last = self.receiving_stage(region)
            receivers = [i for i in self.announced if self.stage_of[i] == last]
            said.append((region, self.epochs[region], receivers))
        dead = self._dead_ids
        for ident in self.announced:
            if self.off("leavers are members") and ident in self.leaving:
                continue
            if self.off("all regions in one message") and pass_ is not None:
                self._fence_by_region(ident, said, dead, pass_)
            else:
                self._tell(ident, "fence", said, dead, pass_)

    def _fence_by_region(self, ident: int, said: list[Any], dead: Any, pass_: int) -> None:
        """Left out: each region by itself, so that the new pass comes before the last epoch."""
        for one in said:
            self._tell(ident, "fence", [one], dead, pass_)

    def _leave(self, ident: int) -> None:
        self.leaving.add(ident)
        stage = self.stage_of[ident] - 1
        producers = tuple(i for i in self.announced if self.stage_of[i] == stage)
        self._tell(ident, "retire", producers)
        for producer in producers:
            self._tell(producer, "retiring", ident)

    def _silence(self, ident: int) -> None:
        """Of what it has sent some more may arrive, of each link a beginning."""
        self.silent.add(ident)
        for link in list(self.links):
            if link[0] == ident:
                del self.links[link][self.random.randint(0, len(self.links[link])) :]
            if link[1] == ident or not self.links[link]:
                del self.links[link]

    def left(self, ident: int) -> None:
        """One has gone of itself; what still lies in its sockets may be lost."""
        self._silence(ident)
        self.gone += 1
        self.exited.append(ident)

    def notice_gone(self, ident: int) -> None:
        self.exited.remove(ident)
        if ident in self.dead:
            return
        self.announced.remove(ident)
        self.leaving.discard(ident)
        self.left_ids.add(ident)
        for member in self.announced:
            self._tell(member, "gone", ident)
