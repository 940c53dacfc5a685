"""Two ends of a link, and the connection between them, with everything that may happen to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from minipipe.protocol.flow.link import Link
from minipipe.protocol.flow.link_actions import (
    Action,
    Again,
    Connect,
    Deliver,
    Disconnect,
    Ended,
    GoOn,
    Hold,
    Lost,
    OtherEnded,
    Release,
)
from minipipe.protocol.flow.link_frames import Frame, Message
from minipipe.protocol.flow.patience import Patience

SIDES = (0, 1)  # the one that connects, and the one that accepts


class World:
    """Two hosts that send each other messages, whose bodies are parts of a count.

    Args:
        lanes: so many connections side by side, each with its own order.
        parts: what is sent again goes in as many messages as it has parts.
    """

    def __init__(
        self,
        *,
        patience: Patience,
        lanes: int = 1,
        window_bytes: int = 1 << 20,
        now_s: float = 0.0,
        parts: int = 1,
    ) -> None:
        self.now_s = now_s
        self.parts = parts
        self.added = [0, 0]  # messages, as what was sent again was cut
        self.counted = [0, 0]  # parts that were delivered to this side
        self.links = [
            Link(
                side + 1,
                connects=side == 0,
                now_s=now_s,
                patience=patience,
                window_bytes=window_bytes,
            )
            for side in SIDES
        ]
        self.lanes = lanes
        self.queues: list[list[deque[Frame]]] = [[deque() for _ in range(lanes)] for _ in SIDES]
        self.up = self.wanted = False
        self.sent = [0, 0]
        self.said = [False, False]  # that nothing more is sent
        self.delivered = [0, 0]  # to this side
        self.handed = [0, 0]
        self.released = [0, 0]  # of this side's messages
        self.holding = [False, False]
        self.ended = [False, False]
        self.lost = ["", ""]

    # ------------------------------------------------------------- what happens
    def send(self, side: int, size_bytes: int = 1) -> None:
        first = self.sent[side] * self.parts
        self.sent[side] += 1
        body = tuple(range(first + 1, first + self.parts + 1))
        number = self.links[side].send(body, size_bytes * self.parts)
        assert number == self.sent[side] + self.added[side]

    def end(self, side: int) -> None:
        self.said[side] = True
        self.links[side].end()

    def put(self, side: int, lane: int = 0) -> bool:
        """One frame into the connection, messages by any lane; whether there was one."""
        frame = self.links[side].next_frame(self.now_s) if self.up else None
        if frame is None:
            return False
        # What is said of the connection itself is said first, on each of its lanes.
        lanes = [lane] if isinstance(frame, Message) else range(self.lanes)
        for one in lanes:
            self.queues[1 - side][one].append(frame)
        return True

    def rests(self, side: int) -> None:
        """It has nothing to say, or nobody to say it to: its driver may sleep."""
        self.passes(side)
        link = self.links[side]
        assert link.due_s > self.now_s, "a driver would spin"

    def take(self, side: int, lane: int = 0) -> None:
        self.act(side, self.links[side].arrived(self.queues[side][lane].popleft(), self.now_s))

    def hand(self, side: int) -> None:
        self.handed[side] += 1
        self.links[side].handed_over(self.handed[side], self.now_s)

    def connect(self) -> None:
        self.wanted, self.up = False, True
        for link in self.links:
            link.opened(self.now_s)

    def cut(self) -> None:
        """Whatever is under way is gone."""
        for side in SIDES:
            for lane in self.queues[side]:
                lane.clear()
            if self.up:
                self.links[side].broke(self.now_s)
        self.up = False

    def recut(self, side: int) -> None:
        """What is sent again goes in parts."""

        def into(body: Any) -> list[tuple[object, int]]:
            self.added[side] += len(body) - 1
            return [((part,), 1) for part in body]

        self.links[side].recut(into)

    def is_all(self, side: int) -> bool:
        """Whether this side has got all that was sent so far."""
        return self.delivered[side] == self.sent[1 - side] + self.added[1 - side]

    def passes(self, side: int) -> None:
        self.act(side, self.links[side].passed(self.now_s))

    def act(self, side: int, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Deliver(number, body):
                    self.delivered[side] += 1
                    assert number == self.delivered[side], "once each, and in order"
                    assert isinstance(body, tuple)
                    for part in body:
                        self.counted[side] += 1
                        assert part == self.counted[side], "once each, and in order"
                case Again():
                    self.recut(side)
                case Release(number):
                    assert self.released[side] < number <= self.handed[1 - side], "not before"
                    self.released[side] = number
                case Connect():
                    assert not self.up and side == 0
                    self.wanted = True
                case Disconnect():
                    # Its own end is closed; the other one hears of that.
                    self.links[1 - side].broke(self.now_s) if self.up else None
                    self.up = self.wanted = False
                    for queue in (lane for lanes in self.queues for lane in lanes):
                        queue.clear()
                case Hold():
                    assert not self.holding[side]
                    self.holding[side] = True
                case GoOn():
                    assert self.holding[side]
                    self.holding[side] = False
                case OtherEnded():
                    assert self.is_all(side)
                case Ended():
                    assert self.is_all(1 - side), "it has all"
                    assert self.handed[1 - side] == self.delivered[1 - side]
                    assert self.is_all(side)
                    assert self.said[1 - side], "that it sends nothing more"
                    self.ended[side] = True
                case Lost(why):
                    self.lost[side] = why

    # ---------------------------------------------------------------- its state
    def key(self) -> Any:
        """What tells one state from another."""
        return _plain(self)


def _plain(thing: Any) -> Any:
    if isinstance(thing, int | float | str | None):
        return thing
    if isinstance(thing, dict):
        return tuple((key, _plain(value)) for key, value in thing.items())
    if isinstance(thing, list | tuple | deque):
        return tuple(_plain(part) for part in thing)
    if hasattr(thing, "__slots__") and not hasattr(thing, "__dict__"):
        return (type(thing).__name__, *(_plain(getattr(thing, s)) for s in thing.__slots__))
    return tuple(_plain(value) for value in vars(thing).values())


def moves(
    world: World, messages: tuple[int, int], most_cuts: int, cuts: int
) -> Iterator[tuple[str, int]]:
    """All that can happen next in a small world of one lane."""
    for side in SIDES:
        link = world.links[side]
        if world.sent[side] < messages[side] and link.has_room:
            yield "send", side
        if world.queues[side][0] and not link.is_over:
            yield "take", side
        if world.handed[side] < world.delivered[side]:
            yield "hand", side
    if world.wanted:
        yield "connect", 0
    if world.up and cuts < most_cuts:
        yield "cut", 0
