"""Where other processes ask how a run is doing: a socket in its directory, which is its user's.

Who connects is sent one text, and that is all: nobody can say anything to a run by it.  Nothing is
done while nobody asks.  From the first question on a thread of its own answers, so that neither a
client that never reads nor one that asks all the time keeps the conductor from its work.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable

from minipipe.process.describe import in_a_line

logger = logging.getLogger("minipipe")

SOCKET = "enquiries"  # its name in the run's directory
CLIENTS = 16  # at once; of more, the one that has waited longest is hung up on
PATIENCE_S = 2.0  # a client that has not read what it asked for by then is hung up on
FRESH_S = 0.2  # an answer is given again, however many ask, until it is so old
END_S = 2.0


class Enquiries:
    """Answers questions about one run; whatever happens to it, the run goes on.

    Attributes:
        answer: makes what is sent; in a thread of its own.
    """

    def __init__(self) -> None:
        self.answer: Callable[[], bytes] = bytes
        self._listener: socket.socket | None = None
        self._thread: _Answers | None = None
        self._failed = False

    def open(self, directory: str) -> list[int]:
        """From now on others may ask; returns the descriptors that no child is to keep.

        (They would answer for a run that is dead.)
        """
        listener = None
        try:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(os.path.join(directory, SOCKET))
            listener.listen(CLIENTS)
            listener.setblocking(False)
        except OSError as error:
            if listener is not None:
                listener.close()
            logger.info("`minipipe top` cannot see this run: %s", error.strerror or error)
            return []
        self._listener = listener
        return [listener.fileno()]

    def filenos(self) -> list[int]:
        """What is readable when somebody asks, as long as nobody looks after that."""
        if self._listener is None or self._thread is not None or self._failed:
            return []
        return [self._listener.fileno()]

    def look(self, readable: list[int]) -> None:
        """Has them answered from now on, if somebody asks."""
        if self._listener is None or not set(self.filenos()).intersection(readable):
            return
        thread = None
        try:
            thread = _Answers(self._listener, self.answer)
            thread.start()
        except (RuntimeError, OSError) as error:  # no more threads, or descriptors
            logger.info("`minipipe top` cannot see this run: %s", in_a_line(error))
            if thread is not None:
                thread.end()
            self._failed = True
            _refuse(self._listener)
        else:
            self._thread = thread

    def end(self) -> None:
        """Nobody is answered any more."""
        if self._thread is not None:
            self._thread.end()
            self._thread = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None


def _refuse(listener: socket.socket) -> None:
    """Nobody can connect any more; its number stays taken, as children are told to close it."""
    try:
        listener.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # a kernel that does not do that for who listens: then they wait in vain


class _Answers(threading.Thread):
    """Sends everybody who connects an answer."""

    def __init__(self, listener: socket.socket, answer: Callable[[], bytes]) -> None:
        super().__init__(name="minipipe-enquiries", daemon=True)
        self._listener = listener
        self._answer = answer
        self._ending, self._ended = socket.socketpair()
        self._left: dict[socket.socket, memoryview] = {}  # the oldest first
        self._until_s: dict[socket.socket, float] = {}
        self._text = b""
        self._made_s = -FRESH_S

    def end(self) -> None:
        """Hangs up on all, and waits for that."""
        self._ending.close()
        if self.ident is None:
            self._ended.close()  # it could not be started
        else:
            self.join(END_S)

    def run(self) -> None:
        try:
            with self._ended, selectors.DefaultSelector() as selector:
                selector.register(self._listener, selectors.EVENT_READ)
                selector.register(self._ended, selectors.EVENT_READ)
                while self._turn(selector):
                    pass
        except Exception as error:  # of any kind: too few descriptors, counters that fail
            logger.warning("`minipipe top` cannot see this run any more: %s", in_a_line(error))
            _refuse(self._listener)
        finally:
            for client in list(self._left):
                self._hang_up(client)

    def _turn(self, selector: selectors.BaseSelector) -> bool:
        now_s = time.monotonic()
        next_s = min(self._until_s.values(), default=None)
        ready = selector.select(None if next_s is None else max(0.0, next_s - now_s))
        for key, _ in ready:
            if key.fileobj is self._ended:
                return False
            if key.fileobj is self._listener:
                self._accept(selector)
            elif key.fileobj in self._left:
                self._send(key.fileobj, selector)
        now_s = time.monotonic()
        for client in [c for c, until_s in self._until_s.items() if until_s <= now_s]:
            self._hang_up(client, selector)
        return True

    def _accept(self, selector: selectors.BaseSelector) -> None:
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # it has changed its mind
        client.setblocking(False)
        if len(self._left) >= CLIENTS:
            self._hang_up(next(iter(self._left)), selector)
        now_s = time.monotonic()
        if now_s - self._made_s >= FRESH_S:
            try:
                self._text, self._made_s = self._answer(), now_s
            except BaseException:
                client.close()
                raise
        self._left[client] = memoryview(self._text)
        self._until_s[client] = now_s + PATIENCE_S
        selector.register(client, selectors.EVENT_WRITE)

    def _send(self, client: socket.socket, selector: selectors.BaseSelector) -> None:
        try:
            sent = client.send(self._left[client])
        except BlockingIOError:
            return
        except OSError:
            self._hang_up(client, selector)  # it is gone
            return
        self._left[client] = self._left[client][sent:]
        if not self._left[client]:
            self._hang_up(client, selector)

    def _hang_up(
        self, client: socket.socket, selector: selectors.BaseSelector | None = None
    ) -> None:
        if selector is not None:
            selector.unregister(client)
        del self._left[client]
        del self._until_s[client]
        try:
            # For a process that was forked meanwhile, and has it, too.
            client.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was quicker
        client.close()
