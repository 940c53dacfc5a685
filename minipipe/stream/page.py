"""The status page: a worker's counters, in memory that it shares with the supervisor.

Written without messages, so it can be read of a worker that is stopped, hangs or is dead: that
is how an error can name the item that a killed worker had.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import fields
from typing import Final

from minipipe.protocol.delivery.paths import Outputs, Path, outputs
from minipipe.protocol.run.durations import BUCKETS
from minipipe.protocol.run.vital_signs import Activity, EndStage, StartStage, VitalSigns
from minipipe.stream.under_way import TABLE_WORDS, CallTable, UnderWay

PAGE_BYTES = 4096
DURATIONS_WORD = PAGE_BYTES // 8 + TABLE_WORDS  # behind it: the calls in several threads,
SIZE_BYTES = 8 * (DURATIONS_WORD + BUCKETS)  # and how many took how long
OUTSIDE: Final = 2**64 - 1  # as `item`: in the user's code, but not with an item
INLETS_WORD = 64  # from here on two words for each inlet: how many wait there, how many may
MAX_INLETS = 128

# How many outputs the path of the item in the functor has, then these.
MAX_OUTLETS = 32
OUTLETS_WORD = INLETS_WORD + 2 * MAX_INLETS  # the same of what it has sent
PATH_WORD = OUTLETS_WORD + 2 * MAX_OUTLETS
MAX_OUTPUTS = PAGE_BYTES // 8 - PATH_WORD - 1  # forks beyond are not told apart here

_DERIVED = ("number", "outputs", "end", "is_in_functor", "beside", "durations")

# A word for each of the vital signs, but for those that are read from others; and three more.  What
# each item and each message touch come first, by numbers that the compiled core need not look up.
_FIRST = ("item", "messages_in", "messages_out", "parcels", "wakeups")
ITEM_WORD: Final = 0  # number + 1 of the item in the functor; 0: not in the functor; or OUTSIDE
MESSAGES_IN: Final = 1
MESSAGES_OUT: Final = 2
PARCELS: Final = 3
WAKEUPS: Final = 4
_FIELDS = (
    *_FIRST,
    *(field.name for field in fields(VitalSigns) if field.name not in (*_DERIVED, *_FIRST)),
    "stage",  # an EndStage; what its process's end waits for stands behind the page
    "threads",  # that call its functor, and have a place in the table behind; 0: only the main one
    # Of a worker on another machine, what the kernel there says; 0: it is on this one.
    "far",  # 1: it runs, 2: it is stopped (SIGSTOP)
    "far_cpu_ns",  # of all its threads, and of children that it has waited for
    "far_own_cpu_ns",  # of its main thread
    "far_wait_ns",  # its main thread was ready to run, and had no core
    "far_memory_bytes",
)


class Page:
    """Counters by name; each is one aligned 8-byte word, so it is never read half written."""

    def __init__(self, memory: mmap.mmap | bytearray | None = None) -> None:
        self._memory = memory if memory is not None else bytearray(SIZE_BYTES)
        self._view = memoryview(self._memory)
        self.words = self._view.cast("Q")
        self.table = CallTable(self.words, PAGE_BYTES // 8)

    def close(self) -> None:
        self.words.release()
        self._view.release()
        if isinstance(self._memory, mmap.mmap):
            self._memory.close()

    @property
    def content(self) -> bytes:
        """All of it, as it is now."""
        return bytes(self._view)

    @property
    def number(self) -> int | None:
        """The number of the item in the functor, if there is one."""
        item = self.words[ITEM_WORD]
        return item - 1 if 0 < item < OUTSIDE else None

    @property
    def calls(self) -> list[UnderWay]:
        """The calls in its threads that are under way, the oldest first."""
        return self.table.calls(self.threads) if self.threads else []

    @property
    def signs(self) -> tuple[int, ...]:
        """What changes with progress."""
        return tuple(self.words[i] for i in _SIGNS)

    @property
    def call(self) -> tuple[int, ...] | None:
        """What stands for the call of the functor now, if it is at an item."""
        if self.number is None:
            return None
        return (self.words[ITEM_WORD], *(self.words[i] for i in _CALL), *self.outputs)

    def begin(self, origin: int, path: Path) -> None:
        """What comes next stems from this worker, and went by this path.

        Before the number of an item is written; of a parcel, once.
        """
        words = self.words
        words[_ORIGIN] = origin
        words[_TURNS] += 1
        if path:
            some = outputs(path)[:MAX_OUTPUTS]
            words[PATH_WORD] = len(some)
            for place, output in enumerate(some, PATH_WORD + 1):
                words[place] = output
        else:
            words[PATH_WORD] = 0

    @property
    def durations(self) -> tuple[int, ...]:
        """How many calls of the functor took how long."""
        return tuple(self.words[DURATIONS_WORD : DURATIONS_WORD + BUCKETS].tolist())

    @property
    def outputs(self) -> Outputs:
        """By which outputs the item in the functor came."""
        first = PATH_WORD + 1
        return tuple(self.words[first : first + self.words[PATH_WORD]])

    def put_fullness(self, inlet: int, waiting: int, allowed: int) -> None:
        """How many items wait at this inlet, and how many may."""
        if inlet < MAX_INLETS:
            place = INLETS_WORD + 2 * inlet
            self.words[place], self.words[place + 1] = waiting, allowed

    def fullness(self, inlet: int) -> tuple[int, int]:
        """How many items wait at this inlet, and how many may."""
        if inlet >= MAX_INLETS:
            return 0, 0
        place = INLETS_WORD + 2 * inlet
        return self.words[place], self.words[place + 1]

    def put_occupancy(self, outlet: int, waiting: int, allowed: int) -> None:
        """How many items of this outlet wait at its consumers, and how many may."""
        if outlet < MAX_OUTLETS:
            place = OUTLETS_WORD + 2 * outlet
            self.words[place], self.words[place + 1] = waiting, allowed

    def occupancy(self, outlet: int) -> tuple[int, int]:
        """How many items of this outlet wait at its consumers, and how many may."""
        if outlet >= MAX_OUTLETS:
            return 0, 0
        place = OUTLETS_WORD + 2 * outlet
        return self.words[place], self.words[place + 1]

    def take_over(self, content: bytes, later_ns: int, far: Sequence[int]) -> None:
        """Shows what the page of a worker on another machine shows.

        Args:
            later_ns: so much later it is by the clock of this machine.
            far: what the kernel there says, as the words from `far` on.

        Raises:
            ValueError: no worker's page shows that.
        """
        copy = bytearray(content)
        with memoryview(copy) as view, view.cast("Q") as words:
            if any(words[word] > most for word, most in _MOST.items()):
                raise ValueError("it says what cannot be")
            if words[_SINCE]:
                words[_SINCE] = max(1, words[_SINCE] + later_ns)
            CallTable(words, PAGE_BYTES // 8).shift(later_ns)
            for word, value in enumerate(far, _FAR):
                words[word] = value
        self._view[:] = copy

    items_in: int
    items_out: int
    dropped: int
    confirmed: int
    kept_items: int
    kept_bytes: int
    peak_items: int
    peak_bytes: int
    queued: int
    item: int
    origin: int
    parcels: int
    wakeups: int
    messages_in: int
    messages_out: int
    cpu_ns: int
    core_wait_ns: int
    staged_ns: int
    own_copies: int
    turns: int
    deaths: int
    stage: int
    start: int
    threads: int
    failed: int
    skipped: int
    far: int
    far_cpu_ns: int
    far_own_cpu_ns: int
    far_wait_ns: int
    far_memory_bytes: int


def _word(index: int) -> property:
    def read(page: Page) -> int:
        return page.words[index]

    def write(page: Page, value: int) -> None:
        page.words[index] = value

    return property(read, write)


WORD = {name: index for index, name in enumerate(_FIELDS)}
_ORIGIN, _TURNS = WORD["origin"], WORD["turns"]
_SINCE, _FAR = WORD["since_ns"], WORD["far"]
_CALL = [WORD[n] for n in ("origin", "turns", "dropped")]
_MOST = {
    WORD["start"]: max(StartStage),
    WORD["stage"]: max(EndStage),
    WORD["activity"]: max(Activity),
    PATH_WORD: MAX_OUTPUTS,
}
_SIGNS = [WORD[n] for n in ("item", "origin", "items_in", "items_out", "dropped", "confirmed")]
for _index, _name in enumerate(_FIELDS):
    setattr(Page, _name, _word(_index))
