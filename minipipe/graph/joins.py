"""Where the branches that a join joins have parted, and what they have to carry to meet again.

A join pairs by identity if all its branches come from one fork (a segment with several
downstreams, or a broadcast), by ways on which each item stays one item: functions, objects of
one item for one, other joins of this kind.  What is dropped on such a way is sent on as a
tombstone, so that the join knows.  Segments with state number anew what they pass on, so on from
there a key travels beside each item: the identity that it had at the fork.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from minipipe.errors import BuildError
from minipipe.graph.parts import GraphSegment, GraphStream
from minipipe.protocol.frozen import frozen
from minipipe.protocol.wiring import Carried

Fork = tuple[str, int]  # ("segment", index) or ("broadcast", stream)
Place = tuple[int, int]  # a stream, and a segment that takes from it


@frozen
class JoinPlan:
    """Where the branches of one join have parted."""

    fork: Fork
    depth: int | None  # steps of an item's path before it; None: a segment with state forks
    branches: tuple[frozenset[int], ...]  # for each branch, the streams from the fork to the join


@frozen
class JoinPlans:
    """The plans of all joins of a graph."""

    segments: tuple[GraphSegment, ...]
    streams: tuple[GraphStream, ...]

    @cached_property
    def by_join(self) -> dict[int, JoinPlan]:
        """Of each segment that joins by identity."""
        found: dict[int, JoinPlan] = {}
        for segment in self._joins_in_order():
            plan = self._plan_of(segment, found)
            if plan is not None:
                found[segment.index] = plan
        return found

    @cached_property
    def carries_tombstones(self) -> frozenset[int]:
        """The streams on which tombstones travel."""
        return frozenset(i for p in self.by_join.values() for branch in p.branches for i in branch)

    def tombstone_groups(self, segment: GraphSegment) -> tuple[tuple[int, ...], ...]:
        """Groups of outputs: where none of a group has an item, one of it gets a tombstone."""
        groups = {
            tuple(i for i, stream in enumerate(segment.outputs) if stream in branch)
            for plan in self.by_join.values()
            for branch in plan.branches
        }
        return tuple(sorted(group for group in groups if group))

    def carried(self, stream: int) -> tuple[Carried, ...]:
        """The joins whose keys travel beside the items of this stream."""
        return tuple(
            Carried(join, plan.depth)
            for join, plan in sorted(self.by_join.items())
            if stream in self._keyed[join]
        )

    def passes(self, segment: GraphSegment) -> bool:
        """Whether each item stays one item in this segment."""
        return self._passes(segment, self.by_join)

    # --------------------------------------------------------------------- keys
    @cached_property
    def _keyed(self) -> dict[int, frozenset[int]]:
        """For each join, the streams whose items have lost the identity of the fork."""
        return {join: self._keyed_of(plan) for join, plan in self.by_join.items()}

    def _keyed_of(self, plan: JoinPlan) -> frozenset[int]:
        branch = frozenset().union(*plan.branches)
        keyed: set[int] = set()
        grown = True
        while grown:
            grown = False
            for number in branch - keyed:
                if any(self._loses(p, plan, keyed) for p in self._producers(number)):
                    keyed.add(number)
                    grown = True
        return frozenset(keyed)

    def _loses(self, producer: GraphSegment, plan: JoinPlan, keyed: set[int]) -> bool:
        return not producer.stateless or bool(keyed.intersection(producer.inputs))

    # --------------------------------------------------------------------- plans
    def _joins_in_order(self) -> Iterable[GraphSegment]:
        """The joins that are in no loop, each behind those that feed it."""
        waiting = [s for s in self.segments if s.joins and not s.in_loop]
        done: set[int] = set()
        while waiting:
            free = [s for s in waiting if not self._upstream(s) & {w.index for w in waiting}]
            for segment in free or waiting:
                done.add(segment.index)
                yield segment
            waiting = [s for s in waiting if s.index not in done]

    def _upstream(self, segment: GraphSegment) -> set[int]:
        seen: set[int] = set()
        todo = [segment]
        while todo:
            for number in todo.pop().inputs:
                for producer in self._producers(number):
                    if producer.index not in seen:
                        seen.add(producer.index)
                        todo.append(producer)
        return seen - {segment.index}

    def _producers(self, stream: int) -> list[GraphSegment]:
        return [self.segments[i] for i in self.streams[stream].producers]

    def _passes(self, segment: GraphSegment, found: dict[int, JoinPlan]) -> bool:
        """Whether each item stays one item there."""
        if segment.kind != "transform" or segment.in_loop or segment.flagged:
            return False
        if segment.batching is not None:
            return False
        return not segment.joins or segment.index in found

    def _plan_of(self, join: GraphSegment, found: dict[int, JoinPlan]) -> JoinPlan | None:
        seen: dict[Place, frozenset[Fork]] = {}
        fork_sets = [self._forks(number, join.index, found, seen) for number in join.inputs]
        nearest: JoinPlan | None = None
        for fork in sorted(frozenset.intersection(*fork_sets)):
            branches = tuple(self._branch(number, fork) for number in join.inputs)
            if any(self._leaks(branch, join) for branch in branches):
                continue
            if nearest is None or sum(map(len, branches)) < sum(map(len, nearest.branches)):
                nearest = JoinPlan(fork, None, branches)
        if nearest is None:
            return None
        return JoinPlan(nearest.fork, self._depth(nearest.fork, join), nearest.branches)

    def _forks(
        self,
        number: int,
        consumer: int,
        found: dict[int, JoinPlan],
        seen: dict[Place, frozenset[Fork]],
    ) -> frozenset[Fork]:
        """The forks that every item passes that comes to `consumer` by this stream."""
        place = (number, consumer)
        if place in seen:
            return seen[place]
        branches = []
        for producer in self._producers(number):
            forks: frozenset[Fork] = frozenset()
            if self._passes(producer, found):
                before = [self._forks(i, producer.index, found, seen) for i in producer.inputs]
                forks = frozenset.intersection(*before)
            if len(producer.outputs) > 1:
                forks |= {("segment", producer.index)}
            branches.append(forks)
        common = frozenset.intersection(*branches) if branches else frozenset()
        if self.streams[number].broadcast:
            common |= {("broadcast", number)}
        seen[place] = common
        return common

    def _branch(self, number: int, fork: Fork) -> frozenset[int]:
        """The streams behind `fork` by which items come into this one, and this one."""
        branch: set[int] = set()
        todo = [number]
        while todo:
            stream = todo.pop()
            if stream in branch or fork == ("broadcast", stream):
                continue
            branch.add(stream)
            for producer in self._producers(stream):
                if fork != ("segment", producer.index):
                    todo += producer.inputs
        return frozenset(branch)

    def _leaks(self, branch: frozenset[int], join: GraphSegment) -> bool:
        """Whether items of the way may go elsewhere instead (shared work)."""
        for number in branch:
            stream = self.streams[number]
            for index in stream.consumers if not stream.broadcast else ():
                consumer = self.segments[index]
                if consumer is not join and not branch.intersection(consumer.outputs):
                    return True
        return False

    # -------------------------------------------------------------------- depth
    def _depth(self, fork: Fork, join: GraphSegment) -> int | None:
        kind, index = fork
        depths: dict[int, frozenset[int]] = {}
        if kind == "segment":
            segment = self.segments[index]
            if not segment.stateless:
                return None
            found = self._arriving(segment.inputs[0], depths)
        else:
            found = self._sent(index, depths)
        if len(found) > 1:
            raise BuildError(
                f"items come to where the branches of {join.name!r} part by ways with different "
                "numbers of forks, so that it cannot be told which of them belong together: let "
                "an object (a class with run) pass them on there"
            )
        return min(found)

    def _sent(self, stream: int, known: dict[int, frozenset[int]]) -> frozenset[int]:
        """How many steps the paths of what is sent into a stream can have."""
        if stream not in known:
            found: set[int] = set()
            for producer in self._producers(stream):
                if not producer.stateless:
                    found.add(0)
                    continue
                step = 1 if len(producer.outputs) > 1 else 0
                found |= {depth + step for depth in self._arriving(producer.inputs[0], known)}
            known[stream] = frozenset(found)
        return known[stream]

    def _arriving(self, stream: int, known: dict[int, frozenset[int]]) -> frozenset[int]:
        step = 1 if self.streams[stream].broadcast else 0
        return frozenset(depth + step for depth in self._sent(stream, known))
