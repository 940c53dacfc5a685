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
from minipipe.worker.reminder import NEVER_S, Reminder

# The main thread is about to go to a functor: whether it has, is seen after so long.
AGAIN_S = 0.001


class ServiceThread(threading.Thread):
    """Serves `node` while its main thread is in the user's code."""

    def __init__(self, node: Node) -> None:
        super().__init__(name="minipipe-service", daemon=True)
        self.failure: BaseException | None = None
        self._node = node
        self._alarm = alarm()
        self._reminder = Reminder(self._alarm)
        self.watch = self._reminder.watch  # for the main thread, before it goes to a functor

    def stop(self) -> None:
        """Ends the thread, and waits for that."""
        self._reminder.ending = True
        self._alarm.end()
        if self.is_alive():
            self.join()
        self._alarm.close()

    def run(self) -> None:
        handover, reception = self._node.handover, self._node.reception
        reminder = self._reminder
        while not reminder.ending:
            rang = self._alarm.wait(reception.order_filenos() if reminder.on_duty else ())
            if rang:
                reminder.rings_s = NEVER_S
            in_user_code = handover.in_user_code
            if in_user_code:
                reminder.on_duty = True
                self._attend(in_user_code)
                continue
            # An order that came is taken in by the main thread, if that does not go to the functor
            # before.  It may also have set the alarm long ago (other processes had the processor)
            # and be about to go there.  If it waits, it will ask again before it goes: either this
            # sees that it waits no more, or that one sees what is set here.
            reminder.on_duty = rang
            if not handover.waiting and not reminder.ending:
                reminder.set(time.monotonic(), AGAIN_S)

    def _attend(self, in_user_code: int) -> None:
        """Does what is due; goes on for as long as what others send has to be taken in at once."""
        node, first = self._node, True
        while not self._reminder.ending:
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
                self._reminder.rings_s = NEVER_S

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
