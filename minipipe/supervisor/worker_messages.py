"""What the supervisor hears, from workers and of processes, as events of the run's life."""

from __future__ import annotations

import errno
import logging
import os
import pickle
from collections.abc import Callable, Iterator
from typing import Any

from minipipe.errors import StartError
from minipipe.graph import Graph, GraphSegment
from minipipe.protocol.run import lifecycle as life
from minipipe.stream import wire
from minipipe.supervisor.failures import Failures
from minipipe.supervisor.hosts.zygote import Exited, Refused, Report, Started, ZygoteLost
from minipipe.supervisor.processes import Crew
from minipipe.supervisor.worker_handle import Hand
from minipipe.worker.failure import LAST_WORDS, Failure

logger = logging.getLogger("minipipe")


class Hearing:
    """Takes apart what comes in.

    Args:
        run: its id; what does not belong to it is dropped.
        graph: what runs.
        crew: all workers.
        connect: opens the link to a worker, whose address is known now.
    """

    def __init__(
        self, run: int, graph: Graph, crew: Crew, connect: Callable[[int, str], None]
    ) -> None:
        self._run = run
        self._crew = crew
        self._connect = connect
        self._said_once: set[str] = set()
        self._failures = Failures(graph, crew.items_in, self._where)
        # Workers of each segment that are not done; one that dies and is replaced counts once.
        self._at_work = {segment.index: segment.n_processes for segment in graph.segments}

    def of_message(self, message: wire.Message) -> Iterator[life.Event]:
        """What a worker has said."""
        hand = self._crew.hands.get(message.sender)
        if message.run != self._run or hand is None:
            return
        for op, *fields in message.records:
            if op == wire.BOUND:
                hand.is_bound = True
                self._connect(hand.ident, fields[0])
                yield life.Bound(hand.ident, fields[0])
            elif op == wire.UNLOADABLE:
                failure = pickle.loads(fields[0])
                yield life.Unloadable(hand.ident, failure.exception(self._where(hand, failure)))
            elif op == wire.WIRED:
                yield life.Wired(hand.ident)
            elif op == wire.DONE:
                yield from self._done(hand, fields)
            elif op == wire.SKIPPED:
                too_many = self._failures.skipped(hand, fields)
                if too_many is not None:
                    yield life.StopAsked(outcome=life.Outcome.FAILED, cause=too_many)
            elif op == wire.FAILED:
                yield self._failed(hand, pickle.loads(fields[0]))
            elif op == wire.LOG:
                self._log(*fields)
            elif op == wire.REST:
                yield life.Rested(hand.ident, *fields)
            elif op == wire.ENDED:
                yield life.SegmentEnded(hand.ident)
            elif op == wire.RESENT:
                yield life.Resent(hand.ident, *fields)

    def _log(self, level: int, text: str, once: bool = False) -> None:
        if text not in self._said_once:
            logger.log(level, "%s", text)
            if once:
                self._said_once.add(text)

    def of_process(self, report: Report) -> Iterator[life.Event]:
        """What has happened to a process."""
        hands = self._crew.hands
        if isinstance(report, Started):
            hands[report.worker].pid = report.pid
        elif isinstance(report, Exited):
            hand = hands[report.worker]
            yield self._died(hand, report.status)
        elif isinstance(report, Refused):
            refused = _refused(hands[report.worker], report.reason)
            yield life.Failed(report.worker, refused)
            yield life.Died(report.worker, refused)
        elif isinstance(report, ZygoteLost):
            yield from self._lost(report)

    def of_pages(self) -> Iterator[life.Event]:
        """Whom a stop has reached, as far as it was not heard before."""
        for hand in self._crew.hands.values():
            if not hand.heeded and hand.stage():
                hand.heeded = True
                yield life.Leaving(hand.ident)

    def _lost(self, report: ZygoteLost) -> Iterator[life.Event]:
        """One death, of all workers of a zygote: none of their items is to blame for it."""
        segments: set[int] = set()
        for worker in report.workers:
            hand = self._crew.hands[worker]
            if report.never_ready:
                yield life.Failed(worker, _cannot_start(hand.segment, report.code))
            counts = hand.segment.index not in segments
            segments.add(hand.segment.index)
            yield life.Died(worker, self._crew.death(hand, None), counts=counts)

    def _died(self, hand: Hand, status: int) -> life.Event:
        item, known = self._crew.item_at(hand), hand.page.deaths
        return life.Died(hand.ident, self._crew.death(hand, status), item, known)

    def _done(self, hand: Hand, fields: list[Any]) -> Iterator[life.Event]:
        if hand.death is not None:
            return  # read after its death: whoever takes its place does that work, and counts
        try:
            hand.result = pickle.loads(fields[0]) if fields else None
        except Exception as error:  # unpickling runs code of the user's classes
            error.add_note(f"minipipe: while reading what local_term of {hand.name!r} returned")
            yield life.Failed(hand.ident, error, True)
            return
        self._at_work[hand.segment.index] -= 1
        if not self._at_work[hand.segment.index]:
            too_many = self._failures.ended(hand.segment.index)
            if too_many is not None:
                yield life.Failed(hand.ident, too_many)
                return
        yield life.Done(hand.ident)

    def _failed(self, hand: Hand, failure: Failure) -> life.Event:
        error = failure.exception(self._where(hand, failure))
        return life.Failed(hand.ident, error, failure.doing in LAST_WORDS)

    def _where(self, hand: Hand, failure: Failure) -> str:
        """Where something has failed, in words."""
        item = self._crew.item_of(failure.origin, failure.number, failure.path)
        value = f" ({failure.value})" if item and not hand.member.is_source else ""
        where = (
            f"in {failure.doing} of segment {hand.segment.name!r} "
            f"(worker {hand.name}, pid {failure.pid})"
        )
        if item:
            where += f" at {item}{value}"
        return where


def _refused(hand: Hand, reason: int) -> StartError:
    return StartError(
        f"the process of worker {hand.name!r} could not be started: {os.strerror(reason)} "
        f"({errno.errorcode.get(reason, reason)}); there is too little memory, or the limit of "
        "processes (ulimit -u, or the container's) or of descriptors (ulimit -n) is reached"
    )


def _cannot_start(segment: GraphSegment, code: int | None) -> StartError:
    env = {} if segment.declared is None else segment.declared.env
    hint = f", with env={env!r}" if env else ""
    return StartError(
        f"the Python interpreter for the workers of segment {segment.name!r} did not start: it "
        f"ended with exit code {code}{hint}; what it said is on stderr"
    )
