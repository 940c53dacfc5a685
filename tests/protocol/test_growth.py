"""How much is said as a run grows: with the edges at the start, with the region at a death.

`python -m tests.protocol.test_growth` prints the table of ARCHITECTURE.md.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

import pytest

import minipipe as mp
from minipipe.protocol.run.lifecycle import (
    Action,
    Bound,
    Died,
    Event,
    Lifecycle,
    Member,
    SendFence,
    SendInit,
    SendJoin,
    Wired,
)
from minipipe.stream import records, wire
from minipipe.supervisor.worker_handle import handles_of

DEATH = RuntimeError("killed by SIGKILL")


def work(item: int) -> int:
    return item


def members_of(*workers: int, kept_in_between: bool = False) -> list[Member]:
    """The workers of a line: a Source, Transforms of so many workers each, a Sink.

    Args:
        kept_in_between: behind the first Transform there is a segment with state, so there are two
            regions.
    """
    pline = mp.PipeLine([mp.Source(range(10), "load")])
    for number, count in enumerate(workers):
        pline.add(mp.Transform(work, f"work{number}", n_processes=count))
        if kept_in_between and not number:
            pline.add(mp.Batch(1))
    pline.add(mp.Sink(print, "save"))
    pline.build(log_lvl="ERROR")
    graph = cast(Any, pline)._graph
    handles = handles_of(graph, lambda member: cast(Any, Silent()))
    return [handle.member for handle in handles.values()]


class Silent:
    """Vital signs that nobody looks at."""

    def close(self) -> None:
        pass


@dataclass
class Said:
    """What a supervisor says, and how much that is."""

    messages: Counter[type[Action]]
    size_bytes: int = 0

    @classmethod
    def of(cls, actions: list[Action]) -> Said:
        said = cls(Counter(map(type, actions)))
        writer = wire.Writer(1 << 60, 0)
        for action in actions:
            if isinstance(action, SendInit):
                init = (action.epochs, action.dead, action.peers, action.crash_suspects)
                record: Any = records.Init(*init, action.workers, action.pass_)
            elif isinstance(action, SendJoin):
                record = records.Join(*action.peer)
            elif isinstance(action, SendFence):
                fence = (action.region, action.epoch, action.dead, action.receivers)
                record = records.Fence(*fence, action.crash_suspects)
            else:
                continue
            said.size_bytes += len(writer.write([record]))
        return said

    @property
    def count(self) -> int:
        return sum(self.messages[kind] for kind in (SendInit, SendJoin, SendFence))


class Run:
    """A run whose workers are dealt out to hosts, and what its supervisor says."""

    def __init__(self, members: list[Member], hosts: int = 1) -> None:
        self.lifecycle = Lifecycle(members, grace_s=10.0)
        self.members, self.hosts = members, hosts
        self.start = Said.of(self._tell([*map(self._bound, members)]))
        self._tell([Wired(member.id) for member in members])

    def _bound(self, member: Member) -> Bound:
        host = member.id % self.hosts
        return Bound(member.id, f"ipc:///tmp/minipipe-run-abcdefgh/{member.id:x}", f"host-{host}")

    def _tell(self, events: list[Event]) -> list[Action]:
        return [action for event in events for action in self.lifecycle.handle(event, 0.0)]

    @property
    def edges(self) -> int:
        """The pairs of workers that may say something to each other."""
        pairs = [(a, b) for i, a in enumerate(self.members) for b in self.members[:i]]
        return sum(a.must_know(b) for a, b in pairs)

    def death(self) -> Said:
        """What is said when a worker of the last Transform is killed and replaced."""
        dead = next(m for m in reversed(self.members) if m.is_stateless)
        actions = self._tell([Died(dead.id, DEATH)])
        spawned = [action.member for action in actions if hasattr(action, "member")]
        actions += self._tell([*map(self._bound, spawned), *(Wired(m.id) for m in spawned)])
        return Said.of(actions)


@pytest.mark.parametrize("workers", [(8, 8), (32, 32), (100, 3), (3, 100)])
@pytest.mark.parametrize("hosts", [1, 10])
def test_at_the_start_a_word_for_each_worker_and_each_edge(
    workers: tuple[int, ...], hosts: int
) -> None:
    run = Run(members_of(*workers), hosts)
    assert run.start.messages[SendInit] == len(run.members)
    assert run.start.messages[SendJoin] == run.edges
    assert run.edges < len(run.members) ** 2 / 2  # those of one segment know nothing of each other


def test_hosts_make_no_more_of_it() -> None:
    members = members_of(20, 20)
    assert Run(members, 1).start.count == Run(members, 20).start.count


def test_at_a_death_those_of_its_region_hear_of_it_and_nobody_else() -> None:
    small = Run(members_of(4, 8, kept_in_between=True)).death()
    large = Run(members_of(64, 8, kept_in_between=True)).death()
    assert small.count == large.count > 0  # the other region is sixteen times as large


def test_at_a_death_a_word_for_each_of_its_region() -> None:
    counts = {n: Run(members_of(n, n)).death().count for n in (8, 16, 32)}
    assert counts[32] - counts[16] == 2 * (counts[16] - counts[8])  # a straight line


def main() -> None:
    """Prints the table."""
    print("| workers | hosts | edges | said at the start | kB | said at a death | kB |")
    print("|---|---|---|---|---|---|---|")
    for each, hosts in ((4, 1), (24, 5), (49, 10), (124, 25), (249, 50), (499, 100)):
        run = Run(members_of(each, each), hosts)
        start, death = run.start, run.death()
        cells = (len(run.members), hosts, run.edges, start.count, start.size_bytes / 1e3)
        texts = [f"{cell:,.0f}" for cell in (*cells, death.count, death.size_bytes / 1e3)]
        print(f"| {' | '.join(texts)} |")


if __name__ == "__main__":
    main()
