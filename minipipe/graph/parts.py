"""What a graph consists of: segments, the streams between them, and regions.

A region is what shares numbers, epochs and an end: a connected component of stateless segments
with the senders that feed it and the receivers that confirm to them; or one stream between
segments with state.
"""

from __future__ import annotations

from minipipe.codec import Access
from minipipe.errors import OptionError
from minipipe.protocol.frozen import frozen
from minipipe.protocol.wiring import Role
from minipipe.segments.batching import Batching
from minipipe.segments.functor import has_attributes
from minipipe.segments.segment import Segment
from minipipe.segments.shares import check_share


@frozen
class GraphSegment:
    """One segment with all that was decided about it.  `declared` is None for the caller."""

    index: int
    name: str
    kind: str  # "source", "transform", "regulator", "sink", "caller"
    declared: Segment | None
    n_processes: int
    buffer_size: int | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    in_loop: bool = False
    fed_in_order: bool = False  # a segment before it is `ordered`

    @property
    def joins(self) -> bool:
        """Whether it takes one item from each of several streams."""
        return len(self.inputs) > 1

    @property
    def stateless(self) -> bool:
        plain = self.declared is not None and self.declared.stateless
        return plain and not self.joins and not self.in_loop and not self.flagged

    @property
    def flagged(self) -> bool:
        """Whether it may end before its input does: that is a state, too."""
        return self.declared is not None and self.declared.term_flag is not None

    @property
    def batching(self) -> Batching | None:
        """What it makes of what its functor gives for the items of a bundle, if it does."""
        return None if self.declared is None else self.declared.batching

    @property
    def role(self) -> Role:
        if self.stateless:
            return Role.STATELESS
        if self.kind == "sink" and self.declared is not None:
            keeps = self.declared.shape.gathers and self.declared.restart is not True
            stateful = keeps or self.joins or self.flagged or self.fed_in_order
            return Role.STATEFUL if stateful else Role.FUNCTION_SINK
        return Role.STATEFUL

    @property
    def restarts(self) -> bool:
        """Whether a worker of it that dies is replaced, and what it had is done again."""
        wanted = self.declared is not None and self.declared.restart is not False
        return wanted and self.role is not Role.STATEFUL

    @property
    def may_forget(self) -> bool:
        """Whether a worker that is replaced may have kept what nobody was told of."""
        declared = self.declared
        if declared is None or declared.restart is True or self.role is not Role.FUNCTION_SINK:
            return False
        return has_attributes(declared.functor_obj)

    def check_restart(self) -> None:
        """Checks that `restart=True` was asked for only where it can be done.

        Raises:
            BuildError: it makes no sense for what this segment is in this graph.
        """
        if self.declared is None or not self.declared.restart or self.role is not Role.STATEFUL:
            return
        if self.joins:
            why = "it joins streams, and the parts of items that it holds would be lost"
        elif self.in_loop:
            why = "it is in a loop, where nobody keeps what went round before"
        elif self.fed_in_order:
            why = "it takes its items in order, and those that wait in it for others would be lost"
        else:
            why = "it has a term flag, so what it has done decides when it ends"
        raise OptionError(f"restart=True makes no sense for {self.declared.where}: {why}")

    @property
    def puts_in_order(self) -> bool:
        """Whether what it passes on is to arrive in order, and would not of itself."""
        return self.declared is not None and self.declared.ordered and self.stateless

    def check_order(self) -> None:
        """Checks that `ordered=True` was asked for only where it can be done.

        Raises:
            OptionError: several workers with state of their own would have to keep order.
        """
        if self.declared is None or not self.declared.ordered or self.stateless:
            return
        if self.in_loop:
            raise OptionError(
                f"ordered=True makes no sense for {self.declared.where}: it is in a loop, where "
                "items come round in an order of their own"
            )
        if self.n_processes > 1:
            raise OptionError(
                f"ordered=True of {self.declared.where} with n_processes={self.n_processes} needs "
                "restart=True, which says that each item stands alone for it: else its workers "
                "keep state, and number anew what they pass on (or give it one process)"
            )

    def check_share(self) -> None:
        """Checks that each of several workers of a Source yields a share of its items only.

        Raises:
            OptionError: each would yield all of them, or it can have one worker only.
        """
        declared = self.declared
        if declared is not None and declared.never_several and self.n_processes > 1:
            raise OptionError(
                f"n_processes={self.n_processes} makes no sense for {declared.where}: "
                f"{declared.never_several}"
            )
        if self.kind == "source" and self.declared is not None:
            check_share(self.declared.functor_obj, self.n_processes, self.declared.where)

    @property
    def threads(self) -> int:
        """How many calls of its functor are under way at once in each worker."""
        return getattr(self.declared, "threads", 1)

    def check_threads(self, *, tombstones: bool) -> None:
        """Checks that several threads were asked for only where one item makes one item.

        Args:
            tombstones: what it drops, a join has to hear of.

        Raises:
            OptionError: they make no sense for what this segment is in this graph.
        """
        why = ""
        if self.joins:
            why = f"it joins {len(self.inputs)} streams"
        elif len(self.outputs) > 1:
            why = f"it puts to {len(self.outputs)} streams"
        elif self.in_loop:
            why = "it is in a loop"
        elif self.flagged:
            why = "it has a term flag"
        elif tombstones:
            why = "a join behind it has to hear of what it drops"
        if self.threads > 1 and why:
            raise OptionError(
                f"threads={self.threads} makes no sense for {self.kind} {self.name!r}: {why}; let "
                "a Transform of its own do what waits"
            )

    @property
    def on_death(self) -> str:
        """What becomes of the run when one of its workers dies, as the end of a sentence."""
        if self.declared is not None and self.declared.restart is False:
            return "; restart=False, so the run was stopped"
        if self.role is not Role.STATEFUL:
            return "; the run was stopped"
        why = "; its segment keeps state, so the run was stopped"
        may_restart = self.kind in ("transform", "sink") and not (
            self.joins or self.in_loop or self.flagged
        )
        return f"{why} (restart=True restarts it without that state)" if may_restart else why

    @property
    def access(self) -> Access:
        """What its functor may do with arrays in shared memory, where others may see them too.

        What can be sent again must not change: so functions look, and only who confirms what it
        has received may write in place.
        """
        if self.declared is not None and self.declared.writable:
            return "private"
        if self.role is Role.STATEFUL and not (
            self.declared is not None and self.declared.read_only_functor
        ):
            return "own" if self.kind == "caller" else "write"
        return "read"

    def worker_name(self, index: int) -> str:
        return self.name if self.n_processes == 1 and not index else f"{self.name}/{index}"


@frozen
class GraphStream:
    """One stream: who puts to it, who takes from it (segment indices)."""

    index: int
    name: str
    producers: tuple[int, ...]
    consumers: tuple[int, ...]
    broadcast: bool = False  # each consuming segment gets every item
    buffer_size: int | None = None
    monitor: bool = False

    @property
    def slots(self) -> tuple[int, ...]:
        """The subscriber slots of a broadcast: the mask of its fork."""
        return tuple(range(len(self.consumers)))


@frozen
class Region:
    """Streams that share numbers, epochs and an end."""

    index: int
    streams: frozenset[int]
    senders: frozenset[int]
    stateless: frozenset[int]
    receivers: frozenset[int]
