"""The hand-over of a node between two threads: who of them may touch it, and when.

The main thread owns the node, except while it is in the user's code.  It shows that in one word of
the status page (`in_user_code`): not 0 then, and another one for each item.  During a long functor
the service thread serves the node.  They agree without a lock in the usual case (Dekker's
argument; the interpreter lock orders the accesses):

- the service thread first announces itself (`announced`), then looks at the word, and serves only
  if the main thread is still at the same call;
- the main thread, back from the functor, first clears the word, then looks whether somebody has
  announced himself; if so, it waits for him (`take_back`).

So one of the two always sees the other, and a functor of a microsecond pays for two stores and a
look, not for a lock.  A hot loop writes these three down itself, over this object and no other, as
a method for each would cost more than the functor:

    words[ITEM_WORD] = number + 1       # enter
    result = function(item)
    words[ITEM_WORD] = 0                # leave: first this,
    if handover.announced:              # then this
        handover.take_back()            # and whatever it did not know before may have come

What is raised in the functor goes round the last three lines: `leave` stands for them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from minipipe.stream.page import ITEM_WORD, Page


class Handover:
    """Who may touch a node: its main thread, or the service thread.

    Attributes:
        words: of the status page; that at ITEM_WORD belongs to the hand-over.
        announced: the service thread has come since the main thread last took the node back.
        times_served: how often the main thread has found that.
        waiting: the main thread waits for messages, so nothing need be watched.
    """

    __slots__ = ("_lock", "announced", "times_served", "waiting", "words")

    def __init__(self, page: Page) -> None:
        self.words = page.words
        self.announced = False
        self.times_served = 0
        self.waiting = False
        self._lock = threading.Lock()  # held by the service thread while it serves

    @property
    def in_user_code(self) -> int:
        """Not 0 while the main thread is in the user's code; another value for each item."""
        return self.words[ITEM_WORD]

    # ------------------------------------------------------------------ main thread
    def enter(self, word: int) -> None:
        """The main thread goes to the user's code: from now on the service thread may serve."""
        self.words[ITEM_WORD] = word

    def leave(self) -> bool:
        """The main thread has the node again; whether the service thread has come meanwhile.

        Does no harm when the main thread has it already: a stop is raised between any two
        bytecodes, also where the word is about to be cleared.
        """
        self.words[ITEM_WORD] = 0
        if self.announced:
            self.take_back()
            return True
        return False

    def take_back(self) -> None:
        """Waits until the service thread has finished: when the word is cleared, and it came."""
        with self._lock:
            self.announced = False
        self.times_served += 1

    def served_here(self) -> None:
        """The main thread has served the node amid an item: as if the service thread had come."""
        self.announced = True

    # --------------------------------------------------------------- service thread
    @contextmanager
    def announce(self) -> Iterator[int]:
        """Where the main thread is now that it will wait for whoever calls this: `in_user_code`.

        If it is in the user's code, the node is the caller's within this block; else hands off.
        """
        with self._lock:
            self.announced = True
            yield self.in_user_code
