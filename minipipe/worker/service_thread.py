"""The service thread: a thread that serves the sockets while the main thread is in a long functor.

It begins when it has seen the main thread at the same call for a whole tick.  Who may touch the
node is agreed on in `stream.handover`.
"""

from __future__ import annotations

import threading
import time

from minipipe.stream import Node
from minipipe.worker.alarm import alarm

TICK_S = 0.001
IDLE_TICK_S = 0.05  # while there is nothing to do, and during functors that are quick as a rule
IDLE_TICKS = 1  # the main thread has waited this long: no need to look any more
ATTEND_S = 0.02  # how long it waits at a time for messages during a long functor


class ServiceThread(threading.Thread):
    """Serves `node` while its main thread is in the user's code."""

    def __init__(self, node: Node) -> None:
        super().__init__(name="minipipe-service", daemon=True)
        self.failure: BaseException | None = None
        self.armed = False
        self._node = node
        self._alarm = alarm(TICK_S, IDLE_TICK_S)
        self._ending = False

    def arm(self) -> None:
        """The main thread has work; call when not `armed`, before going to a functor.

        Before one that is quick as a rule it can be left out: it would cost as much as that.
        """
        self.armed = True
        self._alarm.arm()

    def stop(self) -> None:
        """Ends the thread, and waits for that."""
        self._ending = True
        self._alarm.end()
        if self.is_alive():
            self.join()
        self._alarm.close()

    def run(self) -> None:
        handover = self._node.handover
        last, idle = 0, 0
        while not self._ending:
            self._alarm.wait()
            in_user_code = handover.in_user_code
            idle = idle + 1 if handover.waiting else 0
            if in_user_code and in_user_code == last:
                self._attend(in_user_code)
            elif idle > IDLE_TICKS and self.armed:
                self._rest()
            last = in_user_code

    def _rest(self) -> None:
        """Looks only now and then, until the main thread arms it again."""
        self._alarm.disarm()
        self.armed = False
        # Either this sees that the main thread waits no more, or that one sees `armed` cleared
        # before it goes to the functor.
        if not self._node.handover.waiting:
            self.arm()

    def _attend(self, in_user_code: int) -> None:
        """Serves until the functor that is in work now has returned."""
        node = self._node
        while not self._ending:
            with node.handover.announce() as at:
                if at != in_user_code:
                    return
                try:
                    node.serve()
                    node.sync_progress(in_user_code)
                    node.flush(time.monotonic(), idle=True)
                except BaseException as error:  # the main thread tells it
                    self.failure = error
                    return
            node.wait(ATTEND_S)
