"""The service thread: a thread that serves the sockets while the main thread is in a long functor.

It sleeps unless something is owed to others.  Before the main thread goes to a functor that may
take long it sends what others wait for, and if anything is left it sets an alarm, upon which this
thread does it in its place (`stream.duties` says what that may be, and how soon).  So a functor of
a minute wakes nobody, and in a quick one the alarm is set anew before it rings.

Who may touch the node is agreed on in `stream.handover`.
"""

from __future__ import annotations

import threading
import time

from minipipe.stream import Node
from minipipe.worker.alarm import alarm

# The main thread is about to go to a functor: whether it has, is seen after so long.
AGAIN_S = 0.001
ON_DUTY_S = 0.002  # in a functor that takes longer, it wakes up at orders
NEVER_S = float("inf")


class ServiceThread(threading.Thread):
    """Serves `node` while its main thread is in the user's code."""

    def __init__(self, node: Node) -> None:
        super().__init__(name="minipipe-service", daemon=True)
        self.failure: BaseException | None = None
        self._node = node
        self._alarm = alarm()
        self._rings_s = NEVER_S  # when the alarm does, as far as it is known
        self._on_duty = True  # if asleep, it wakes up at an order
        self._ending = False

    def watch(self, now_s: float, due_s: float) -> None:
        """The main thread goes to a functor, and owes something that is due after `due_s`.

        If that is 0, nothing is owed.

        An alarm that would ring soon is set anew, so it does not ring between quick calls, and no
        more than twice in `due_s`, so that they do not pay for it.
        """
        if not self._on_duty:
            due_s = ON_DUTY_S
        if due_s and not now_s + due_s / 2 <= self._rings_s <= now_s + due_s and not self._ending:
            # In this order: if it rings in between, that counts.
            self._rings_s = now_s + due_s
            self._alarm.set(due_s)
        elif not due_s and self._rings_s != NEVER_S and not self._ending:
            self._alarm.set(0.0)  # it would wake up the thread for nothing
            self._rings_s = NEVER_S
            if not self._on_duty:  # it was set by the thread, just now
                self._rings_s = now_s + ON_DUTY_S
                self._alarm.set(ON_DUTY_S)

    def stop(self) -> None:
        """Ends the thread, and waits for that."""
        self._ending = True
        self._alarm.end()
        if self.is_alive():
            self.join()
        self._alarm.close()

    def run(self) -> None:
        handover, reception = self._node.handover, self._node.reception
        while not self._ending:
            rang = self._alarm.wait(reception.order_filenos() if self._on_duty else ())
            if rang:
                self._rings_s = NEVER_S
            in_user_code = handover.in_user_code
            if in_user_code:
                self._on_duty = True
                self._attend(in_user_code)
                continue
            # An order that came is taken in by the main thread, if that does not go to the functor
            # before.  It may also have set the alarm long ago (other processes had the processor)
            # and be about to go there.  If it waits, it will ask again before it goes: either this
            # sees that it waits no more, or that one sees what is set here.
            self._on_duty = rang
            if not handover.waiting and not self._ending:
                self._rings_s = time.monotonic() + AGAIN_S
                self._alarm.set(AGAIN_S)

    def _attend(self, in_user_code: int) -> None:
        """Does what is due; goes on for as long as what others send has to be taken in at once."""
        node, first = self._node, True
        while not self._ending:
            with node.handover.announce() as at:
                if not at or (at != in_user_code and not first):
                    return  # the main thread has done it, or will, or sets the alarm
                try:
                    listens = self._serve(at)
                except BaseException as error:  # the main thread tells it
                    self.failure = error
                    return
            if not listens:
                return
            in_user_code, first = at, False
            node.wait(None, self._alarm.filenos)
            if self._alarm.rang():
                self._rings_s = NEVER_S

    def _serve(self, in_user_code: int) -> bool:
        """Serves in the place of the main thread; whether what comes is waited for."""
        node = self._node
        if node.duties.listens:
            node.serve()
        else:
            node.serve_orders()
        node.ends.sync_progress(in_user_code)
        node.flush(time.monotonic(), idle=True)
        return node.duties.listens
