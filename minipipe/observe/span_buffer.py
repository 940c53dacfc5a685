"""What one worker does when, in memory of a fixed size, whatever it does and however long.

The first spans are kept as they are (the head).  Later ones are kept, too, while there is room;
then neighbours are put together into cells no longer than a grain, which doubles whenever there is
no room again.  So a long run is shown in a few thousand cells, that say what share of them was
spent on what, and what takes longer than a cell is still seen as it was.

The memory is shared, or a file, so that what a killed worker did is known.  Nothing is ever half
written there: a record is counted when it is complete, and cells are put together from one area
into another, which one word then makes the valid one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from mmap import mmap

from minipipe.protocol.run.vital_signs import Activity

BUSY = int(Activity.BUSY)
MAGIC = 0x314543415254504D  # "MPTRACE1"
# The header: these words, then two for the grain of each area.
_MAGIC, _CREATED, _HEAD_ROOM, _CELL_ROOM, _HEADS, _STATE, _GRAIN = range(7)
HEADER_WORDS = 8
RECORD_WORDS = 8
RECORD = struct.Struct("=8Q")
# Of a record: when it begins and ends (monotonic), how long of that its worker was busy, starved,
# blocked (at the number of that activity), how many calls that were; of one call: the number of
# its item + 1, and who numbered that.
BEGIN, END, CALLS, ITEM, ORIGIN = 0, 1, 5, 6, 7
LATE = 2**64 - 1  # as origin: so much of the time that others leave in here was busy
NOBODYS = 2**64 - 1  # as item: in the user's code, but not with an item
NEAR_NS = 100_000  # two waits with less between them are one, which was looked after
HEAD, CELLS = 1024, 2048  # of one worker,
LEAST = 128  # or fewer, if there are many, but no fewer than so many cells
ALL = 120_000  # of all workers together

Record = tuple[int, ...]


def room_of(workers: int) -> tuple[int, int]:
    """How many records the head and each area of one of so many workers may have."""
    cells = max(LEAST, min(CELLS, ALL * 2 // 3 // max(1, workers)))
    return cells // 2, cells


def size_bytes(room: tuple[int, int]) -> int:
    """How much memory that takes."""
    head, cells = room
    return 8 * (HEADER_WORDS + RECORD_WORDS * (head + 2 * cells))


class SpanBuffer:
    """Where one worker writes down what it does; its main thread alone.

    Args:
        memory: all zeros, of `size_bytes(room)` bytes.
        now_ns: the worker is there from now on.
    """

    def __init__(self, memory: bytearray | mmap, room: tuple[int, int], now_ns: int) -> None:
        self._memory = memory
        self._words = memoryview(memory).cast("Q")
        self._head_room, self._cell_room = room
        self._heads = self._cells = self._area = self._grain = 0
        self._at = 0  # the word where the last record begins; 0: there is none
        self._kind = 0  # what that was, if it can go on; 0: it was a call, or several things
        self._end = 0  # when that was over
        words = self._words
        words[_CREATED], words[_HEAD_ROOM], words[_CELL_ROOM] = now_ns, *room
        words[_MAGIC] = MAGIC

    def add(
        self, activity: int, begin_ns: int, end_ns: int, item: int = 0, origin: int = 0
    ) -> None:
        """The worker has done this from `begin_ns` to `end_ns`.

        Args:
            item: of a call of the functor, the number of its item + 1; 0 or NOBODYS: of none.
            origin: who numbered that.
        """
        lasted_ns = end_ns - begin_ns
        if item == NOBODYS:
            item = 0
        if activity == self._kind and not item and begin_ns - self._end < NEAR_NS:
            words, at = self._words, self._at
            words[at + activity] += lasted_ns
            words[at + END] = self._end = end_ns
            return
        self._kind = 0 if item else activity
        self._end = end_ns
        if self._heads == self._head_room and self._cells:
            words, at = self._words, self._at
            if end_ns - words[at] <= self._grain:
                words[at + activity] += lasted_ns
                words[at + END] = max(words[at + END], end_ns)
                self._kind = 0
                if item:
                    words[at + CALLS] += 1
                if words[at + ORIGIN] == LATE:
                    words[at + ORIGIN] = 0
                return
        record = [begin_ns, end_ns, 0, 0, 0, 0, 0, 0]
        record[activity] = lasted_ns
        if item:
            record[CALLS:] = (1, item, origin)
        self._append(record)

    def add_late(self, begin_ns: int, end_ns: int, busy_ns: int) -> None:
        """So much of this time was spent on calls that nobody timed, one by one."""
        if busy_ns <= 0 or end_ns <= begin_ns:
            return
        self._kind = 0
        if self._heads == self._head_room and self._cells:
            words, at = self._words, self._at
            first, last = min(begin_ns, words[at]), max(end_ns, words[at + END])
            if last - first <= self._grain:
                words[at + BUSY] += busy_ns
                words[at], words[at + END] = first, last
                if words[at + ORIGIN] == LATE:
                    return
                words[at + ORIGIN] = 0
                return
        self._append((begin_ns, end_ns, busy_ns, 0, 0, 0, 0, LATE))

    def _append(self, record: Sequence[int]) -> None:
        words = self._words
        if self._heads < self._head_room:
            self._at = HEADER_WORDS + RECORD_WORDS * self._heads
            RECORD.pack_into(self._memory, 8 * self._at, *record)
            self._heads += 1
            words[_HEADS] = self._heads
            return
        if self._cells == self._cell_room:
            self._coarsen()
        self._at = self._start_of(self._area) + RECORD_WORDS * self._cells
        RECORD.pack_into(self._memory, 8 * self._at, *record)
        self._cells += 1
        words[_STATE] = self._cells << 1 | self._area

    def _start_of(self, area: int) -> int:
        """The word where an area begins."""
        return HEADER_WORDS + RECORD_WORDS * (self._head_room + area * self._cell_room)

    def _coarsen(self) -> None:
        """Puts neighbours together, until there is room."""
        start = 8 * self._start_of(self._area)
        cells = unpacked(bytes(self._memory[start : start + RECORD.size * self._cells]))
        cells, self._grain = coarsened(cells, self._grain, self._cell_room)
        self._area ^= 1
        start = 8 * self._start_of(self._area)
        for place, cell in enumerate(cells):
            RECORD.pack_into(self._memory, start + RECORD.size * place, *cell)
        self._cells = len(cells)
        self._words[_GRAIN + self._area] = self._grain
        self._words[_STATE] = self._cells << 1 | self._area


def coarsened(cells: list[Record], grain: int, room: int) -> tuple[list[Record], int]:
    """Fewer cells, that fill half of the room, mostly, and three quarters of it at most.

    Args:
        grain: how long a cell of two and more was so far, at most.

    Returns:
        The cells, and how long one of two and more is now, at most.
    """
    lasted = max(c[END] for c in cells) - min(c[BEGIN] for c in cells)
    grain = max(2 * grain, 4 * lasted // room, 1)
    while len(cells := _put_together(cells, grain)) > max(1, 3 * room // 4):
        grain *= 2
    return cells, grain


def _put_together(cells: Iterable[Record], grain: int) -> list[Record]:
    together: list[Record] = []
    for cell in cells:
        if together:
            last = together[-1]
            begin, end = min(last[BEGIN], cell[BEGIN]), max(last[END], cell[END])
            if end - begin <= grain:
                sums = [a + b for a, b in zip(last[2:ITEM], cell[2:ITEM], strict=True)]
                is_late = last[ORIGIN] == cell[ORIGIN] == LATE
                together[-1] = (begin, end, *sums, 0, LATE if is_late else 0)
                continue
        together.append(cell)
    return together


def used(memory: bytes | bytearray) -> tuple[int, bytes]:
    """When its worker was there first (0: it never was), and its records, in order.

    The memory may be written to meanwhile, or be a file of anything.
    """
    if len(memory) < 8 * HEADER_WORDS:
        return 0, b""
    words = struct.unpack_from(f"={HEADER_WORDS}Q", memory)
    head_room, cell_room = words[_HEAD_ROOM], words[_CELL_ROOM]
    if words[_MAGIC] != MAGIC or size_bytes((head_room, cell_room)) != len(memory):
        return 0, b""
    heads, cells, area = min(words[_HEADS], head_room), words[_STATE] >> 1, words[_STATE] & 1
    first = 8 * HEADER_WORDS
    then = first + RECORD.size * (head_room + area * cell_room)
    head = memory[first : first + RECORD.size * heads]
    return words[_CREATED], bytes(head + memory[then : then + RECORD.size * min(cells, cell_room)])


def unpacked(records: bytes) -> list[Record]:
    """The records that `used` gave."""
    return [*RECORD.iter_unpack(records)]


def shifted(records: bytes, by_ns: int) -> bytes:
    """The same, in a clock that is so much ahead of the one that they are in.

    Raises:
        ValueError: they are no records, or not of a time that there is.
    """
    try:
        moved = [(r[BEGIN] + by_ns, r[END] + by_ns, *r[2:]) for r in unpacked(records)]
        return b"".join(RECORD.pack(*record) for record in moved)
    except struct.error as error:
        raise ValueError(f"no spans: {error}") from error
