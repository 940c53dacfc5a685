"""A link between two hosts: each message once and in order, over connections that break.

A connection that breaks takes with it what is in the queues and buffers of both sides, and says
nothing of that.  So the messages of a direction are numbered, kept until the other end has
acknowledged them, and sent again from there on the next connection.  What arrives twice is known by
its number; what came on another lane of the connection than what is before it waits for that.

The end of it is a decision, too: who has heard nothing for two thirds of `lost_after_s` lets nobody
begin anything (the other end may be about to give up), and after all of it gives up for good.  An
end that was given up in error hears so as soon as it is heard again.

An end decides, its driver acts: that makes connections (a broken one is dropped with all that is in
its queues, and nothing of it is given to `arrived` afterwards), asks for a frame whenever the
connection takes one, and calls `passed` when `due_s` says.  Time is one that goes on while the
machine sleeps (CLOCK_BOOTTIME).  The driver is `transport/hosts/link_end.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
from minipipe.protocol.flow.link_frames import Acknowledge, Beat, Farewell, Frame, Message, Resume
from minipipe.protocol.flow.link_ways import Received, Sent
from minipipe.protocol.flow.patience import DEFAULT, Patience

WINDOW_BYTES = 64 << 20


class Link:
    """One end of a link.

    Attributes:
        window_bytes: how much may be under way without an acknowledgement (one message always may).

    Args:
        incarnation: a number that no other end of a link has, not 0.
        connects: this end makes the connections, the other one accepts them.
        now_s: the time.
    """

    def __init__(
        self,
        incarnation: int,
        *,
        connects: bool,
        now_s: float,
        patience: Patience = DEFAULT,
        window_bytes: int = WINDOW_BYTES,
    ) -> None:
        self._incarnation = incarnation
        self._other = 0
        self._connects = connects
        self._patience, self._lost_after_s = patience, patience.lost_after_s
        self.window_bytes = window_bytes
        self._sent, self._received = Sent(), Received(window_bytes)
        # --- the connection
        self._up = False
        self._resumed = False  # the other end has said on it where it is
        self._owes_resume = False
        self._retry_at_s: float | None = now_s if connects else None
        self._retry_s = patience.retry_s
        self._connected_by_s: float | None = None  # or this attempt has failed
        # --- signs of life
        self._heard_s = self._said_s = self._opened_s = self._passed_s = now_s
        self._judges_s = now_s  # until then it was asleep too shortly ago
        self._holding = False
        # --- its end
        self._over: str | None = None  # why nothing more is said; "": all is well
        self._owes_farewell = False
        self._ending = self._other_ended = False
        self._other_heard = False  # the other end has heard that of this one
        self._said_heard = False  # the other end was told, perhaps in vain, that its own was heard
        self._says_end: Farewell | None = None  # what was said of it on this connection

    def wait_longer(self, lost_after_s: float) -> None:
        """From now on the other end is waited for so long: something would be lost with it."""
        self._lost_after_s = max(self._lost_after_s, lost_after_s)

    def wait_as_at_first(self) -> None:
        """Nothing is lost with the other end any more, if it has all that was sent."""
        if self._sent.acknowledged == self._sent.last:
            self._lost_after_s = self._patience.lost_after_s

    # ------------------------------------------------------------------ sending
    @property
    def has_room(self) -> bool:
        """Whether another message may be given to it."""
        return not self.is_over and not self._ending and self.kept_bytes < self.window_bytes

    @property
    def kept_bytes(self) -> int:
        """What was sent and not acknowledged yet."""
        return self._sent.kept_bytes

    @property
    def has_met(self) -> bool:
        """Whether the other end was ever heard."""
        return self._other != 0

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or not."""
        return self._over is not None

    def send(self, body: object, size_bytes: int) -> int:
        """Takes a message, if it has room; gives the number under which it is released."""
        assert self.has_room
        return self._sent.add(body, size_bytes)

    def recut(self, into: Callable[[object], Iterable[tuple[object, int]]]) -> None:
        """At `Again`, before anything else: all that is sent again goes as other messages.

        Args:
            into: the bodies that one becomes, and their sizes.
        """
        self._sent.recut(into)

    def end(self) -> None:
        """Nothing more will be sent: says so when all of it has arrived."""
        self._ending = True

    def give_up(self, why: str) -> list[Action]:
        """This end is of no use any more: the other one is told why."""
        return [] if self.is_over else self._lose(why)

    def handed_over(self, number: int, now_s: float) -> None:
        """All messages up to this one are with those whom they are for."""
        self._received.handed_over(number, now_s)

    def next_frame(self, now_s: float) -> Frame | None:
        """What to put into the connection, which takes something; None: nothing now."""
        frame = self._next_frame(now_s) if self._up else None
        if frame is not None:
            self._said_s = now_s
        return frame

    def _next_frame(self, now_s: float) -> Frame | None:
        if self._over is not None:
            owes, self._owes_farewell = self._owes_farewell, False
            return Farewell(self._over, heard=not self._over) if owes else None
        if self._owes_resume:
            self._owes_resume = False
            return Resume(self._incarnation, self._other, self._received.last)
        if not self._resumed:
            return None
        if (number := self._received.acknowledge(now_s, at_once=self._ending)) is not None:
            return Acknowledge(number)
        if (message := self._sent.take()) is not None:
            return message
        if self._has_done:
            farewell = Farewell("", heard=self._other_ended)
            if farewell != self._says_end:
                self._says_end = farewell
                self._said_heard |= farewell.heard
                return farewell
        return Beat() if now_s >= self._said_s + self._patience.beat_s else None

    # ------------------------------------------------------------ the connection
    def opened(self, now_s: float) -> None:
        """A connection is there."""
        self._up, self._resumed, self._says_end = True, False, None
        self._received.forget_early()
        self._retry_at_s = self._connected_by_s = None
        self._said_s = self._opened_s = now_s
        self._owes_resume, self._owes_farewell = not self.is_over, self.is_over

    def broke(self, now_s: float) -> None:
        """The connection has ended, or could not be made."""
        self._up = self._resumed = self._owes_resume = self._owes_farewell = False
        self._connected_by_s = None
        if self._connects and not self.is_over:
            self._retry_at_s = now_s + self._retry_s
            self._retry_s = min(2 * self._retry_s, self._patience.longest_retry_s)

    def arrived(self, frame: Frame, now_s: float) -> list[Action]:
        """A frame came by the connection that is there now, in the order of its lane."""
        if self.is_over:
            return []
        if isinstance(frame, Farewell) and frame.why:
            return self._lose(f"it has given up: {frame.why}")
        if isinstance(frame, Resume):
            return self._resume(frame, now_s)
        if isinstance(frame, Farewell) and self._other:  # maybe all that it has to say on this one
            actions: list[Action] = [] if self._other_ended else [OtherEnded()]
            self._other_ended = True
            self._other_heard |= frame.heard
            return self._is_heard(now_s) + actions
        if not self._resumed:
            return self._disconnect("it began with something else than where it is", now_s)
        actions = self._is_heard(now_s)
        if isinstance(frame, Message):
            actions += [Deliver(m.number, m.body) for m in self._received.take(frame)]
        elif isinstance(frame, Acknowledge):
            if frame.number > self._sent.last:
                return self._lose(f"it acknowledges message {frame.number}, of {self._sent.last}")
            if released := self._sent.release(frame.number):
                actions.append(Release(frame.number, tuple(released)))
        return actions

    @property
    def _has_done(self) -> bool:
        """Whether nothing more will be sent, and all of it has arrived."""
        has_all = self._sent.acknowledged == self._sent.last
        return self._ending and has_all and self._received.all_told

    def _resume(self, frame: Resume, now_s: float) -> list[Action]:
        if self._other not in (0, frame.incarnation) or frame.other not in (0, self._incarnation):
            return self._lose("another process answers in its place: what it knew is gone")
        if self._resumed:  # that of another lane
            return self._is_heard(now_s)
        first, last = self._sent.acknowledged, self._sent.last
        if not first <= frame.received <= last:
            return self._lose(f"it has received {frame.received} messages, not {first} to {last}")
        self._other, self._resumed = frame.incarnation, True
        self._retry_s = self._patience.retry_s
        self._sent.go_on_after(frame.received)
        self._received.tell_again(now_s)
        return self._is_heard(now_s) + ([Again()] if frame.received < last else [])

    def _disconnect(self, why: str, now_s: float) -> list[Action]:
        self.broke(now_s)
        return [Disconnect(why)]

    def _is_heard(self, now_s: float) -> list[Action]:
        self._heard_s = max(self._heard_s, now_s)
        if not self._holding:
            return []
        self._holding = False
        return [GoOn()]

    def _lose(self, why: str) -> list[Action]:
        self._over, self._owes_farewell = why, self._up
        return [Lost(why)]

    # --------------------------------------------------------------------- time
    @property
    def due_s(self) -> float:
        """When to call `passed`, and to ask for a frame, if nothing else happens before."""
        if self.is_over:
            return float("inf")
        patience = self._patience
        ends_s = max(self._judges_s, self._heard_s + self._lost_after_s)
        times = [self._passed_s + patience.silent_s / 2]  # or it would seem to have been asleep
        times.append(ends_s if self._holding else self._heard_s + patience.hold_s)
        if self._said_heard and self._other_heard:
            times.append(self._passed_s)
        if self._up:
            began_s = max(self._heard_s, self._opened_s)
            times.append(max(self._judges_s, began_s + patience.silent_s))
        others = [self._retry_at_s, self._connected_by_s]
        if self._resumed:  # or it could not say it, and its driver would spin
            others += [self._said_s + patience.beat_s, self._received.tell_by_s]
        return min([*times, *(time_s for time_s in others if time_s is not None)])

    def passed(self, now_s: float) -> list[Action]:
        """Time has passed."""
        slept = now_s - self._passed_s > self._patience.silent_s
        self._passed_s = now_s
        if self.is_over:
            return []
        if self._said_heard and self._other_heard:
            # Known only here, some time after that was said: the frame may take a moment to go.
            self._over = ""
            return [Ended()]
        patience, actions = self._patience, list[Action]()
        silence_s = now_s - self._heard_s
        if silence_s >= patience.hold_s and not self._holding:
            self._holding = True
            actions.append(Hold())
        if slept:
            # This process was not running, or the machine slept: what the other end has said in
            # the meantime lies in the socket, or comes by the next connection.
            self._judges_s = now_s + patience.silent_s
        judges = now_s >= self._judges_s
        if judges and silence_s >= self._lost_after_s:
            if self._has_done and self._other_ended:  # it may have gone; nothing is missing
                self._over = ""
                return [*actions, Ended()]
            return [*actions, *self._lose(f"it was silent for {silence_s:.1f} s")]
        if judges and self._up and now_s >= max(self._heard_s, self._opened_s) + patience.silent_s:
            actions += self._disconnect(f"it was silent for {silence_s:.1f} s", now_s)
        if self._connected_by_s is not None and now_s >= self._connected_by_s:
            actions += self._disconnect("nobody has answered", now_s)
        if self._retry_at_s is not None and now_s >= self._retry_at_s:
            self._retry_at_s, self._connected_by_s = None, now_s + patience.silent_s
            actions.append(Connect())
        return actions
