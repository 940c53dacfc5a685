"""When the service thread is to look what is owed, as the main thread wants it.

Apart from the thread itself, which is no class of our own, so that it can be compiled: it is asked
before each call of a functor.
"""

from __future__ import annotations

from typing import Any, Final

ON_DUTY_S: Final = 0.002  # in a functor that takes longer, the thread wakes up at orders
NEVER_S: Final = float("inf")


class Reminder:
    """Sets the alarm that the service thread sleeps on.

    Attributes:
        rings_s: when the alarm does, as far as it is known.
        on_duty: if asleep, the thread wakes up at an order.
        ending: the alarm is set no more.

    Args:
        alarm: see `worker.alarm`.
    """

    def __init__(self, alarm: Any) -> None:
        self._alarm = alarm
        self.rings_s = NEVER_S
        self.on_duty = True
        self.ending = False

    def set(self, now_s: float, after_s: float) -> None:
        """The alarm rings then, whatever was set before."""
        # In this order: if it rings in between, that counts.
        self.rings_s = now_s + after_s
        self._alarm.set(after_s)

    def watch(self, now_s: float, due_s: float) -> None:
        """The main thread goes to a functor, and owes something that is due after `due_s`.

        If that is 0, nothing is owed.

        An alarm that would ring soon is set anew, so it does not ring between quick calls, and no
        more than twice in `due_s`, so that they do not pay for it.
        """
        if not self.on_duty:
            due_s = ON_DUTY_S
        if due_s:
            if not now_s + due_s / 2 <= self.rings_s <= now_s + due_s and not self.ending:
                self.set(now_s, due_s)
                if not self.on_duty and due_s > ON_DUTY_S:  # it went to sleep just now
                    self.set(now_s, ON_DUTY_S)
        elif self.rings_s != NEVER_S and not self.ending:
            self._alarm.set(0.0)  # it would wake up the thread for nothing
            self.rings_s = NEVER_S
            if not self.on_duty:  # it was set by the thread, just now
                self.set(now_s, ON_DUTY_S)
