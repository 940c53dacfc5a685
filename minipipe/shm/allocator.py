"""Slots: which one to write next, when to make more, and which to give back.

A slot belongs to a size class and is in one of four states.

    cold     it has no memory
    used     the owner's process counts on it
    free     the owner's process does not; whether another one does, only a lock would tell
    held     so it was asked, and another process does

Free slots are used again newest first, since their memory is warm in the caches; held ones are
asked oldest first, since they have had the longest time to become free.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple

MIB: Final = 1024 * 1024

IDLE_S: Final = 10.0  # memory that nobody has wanted for so long is given back
# So much may lie free, or as much as was in use lately.  With 64 MiB, arrays of random sizes from
# 64 KiB to 8 MiB took four times as long.
WARM_BYTES: Final = 128 * MIB
ARENA_BYTES: Final = 64 * MIB
ARENA_MIN_SLOTS: Final = 16
ARENA_MAX_SLOTS: Final = 256  # each lock is looked for in a list of all locks on the arena
# A descriptor each, here and in each process that reads; often 1024 are allowed.
MAX_ARENAS: Final = 256

_ASK_FREE: Final = 2
_ASK_HELD: Final = 2
_ASK_WHEN_FULL: Final = 64  # then the alternative is to copy the array into a message
_LARGER_CLASSES: Final = 4  # up to twice the size
SWEEP: Final = 256
SWEEP_BEFORE_GROWTH: Final = 16  # together they cost less than memory for one slot


class SlotKey(NamedTuple):
    """A slot: the number of its arena and its place therein."""

    arena: int
    slot: int


@lru_cache(maxsize=1024)
def size_class(size_bytes: int, page_bytes: int = 4096) -> int:
    """The size of the slots that hold `size_bytes`: four steps per power of two, whole pages."""
    size_bytes = max(size_bytes, page_bytes)
    step = 1 << max(0, (size_bytes - 1).bit_length() - 3)
    return _round_up(_round_up(size_bytes, step), page_bytes)


def slots_per_arena(class_bytes: int) -> int:
    """How many slots an arena has room for; memory for each comes only when it is used."""
    return max(ARENA_MIN_SLOTS, min(ARENA_MAX_SLOTS, ARENA_BYTES // class_bytes))


def _round_up(size: int, step: int) -> int:
    return -(-size // step) * step


class _Class:
    """The slots of one size that are not in use."""

    def __init__(self) -> None:
        self.free: OrderedDict[SlotKey, None] = OrderedDict()
        self.held: OrderedDict[SlotKey, None] = OrderedDict()
        self.cold: OrderedDict[SlotKey, None] = OrderedDict()


class Slots:
    """All slots of one owner.

    Args:
        limit_bytes: What the slots that have memory may come to.
        page_bytes: The size of a page.
        max_arenas: How many arenas there may be.
    """

    def __init__(
        self, limit_bytes: int, page_bytes: int = 4096, max_arenas: int = MAX_ARENAS
    ) -> None:
        self.limit_bytes = limit_bytes
        self.page_bytes = page_bytes
        self.max_arenas = max_arenas
        self.used_bytes = 0  # used and held
        self.free_bytes = 0
        self._classes: dict[int, _Class] = {}
        self._sizes: dict[int, int] = {}  # of each arena's slots
        self._slots_in: dict[int, int] = {}  # how many slots an arena has, and how many are cold
        self._cold_in: dict[int, int] = {}
        self._free: OrderedDict[SlotKey, float] = OrderedDict()  # since when, oldest first
        self._held: OrderedDict[SlotKey, None] = OrderedDict()
        self._used: set[SlotKey] = set()
        self._peaks = [0, 0]  # of used_bytes, in this period of IDLE_S and the one before
        self._period_s = 0.0

    @property
    def warm_bytes(self) -> int:
        """What all slots that have memory come to."""
        return self.used_bytes + self.free_bytes

    # ------------------------------------------------------------------ events
    def opened(self, arena: int, class_bytes: int, slots: int) -> None:
        """Adds an arena, all of whose slots are cold."""
        assert arena not in self._sizes
        self._sizes[arena] = class_bytes
        self._slots_in[arena] = self._cold_in[arena] = slots
        cold = self._class(class_bytes).cold
        for slot in range(slots):
            cold[SlotKey(arena, slot)] = None

    def closed(self, arena: int) -> None:
        """Forgets an arena, all of whose slots are cold."""
        slots = self._slots_in.pop(arena)
        assert self._cold_in.pop(arena) == slots, "an arena with memory was closed"
        cold = self._class(self._sizes.pop(arena)).cold
        for slot in range(slots):
            del cold[SlotKey(arena, slot)]

    def taken(self, key: SlotKey) -> None:
        """Books a slot as used; before, it was anything else."""
        self._leave(key)
        self._used.add(key)
        self.used_bytes += self._sizes[key.arena]

    def released(self, key: SlotKey, now_s: float) -> None:
        """Books a slot as free that was used, or held and found free."""
        if key in self._used:
            self._used.remove(key)
            self.used_bytes -= self._sizes[key.arena]
        else:
            self._leave(key)
        self._free[key] = now_s
        self._class(self._sizes[key.arena]).free[key] = None
        self.free_bytes += self._sizes[key.arena]

    def busy(self, key: SlotKey) -> None:
        """Books a free or held slot as held: another process was found to count on it."""
        self._leave(key)
        self._held[key] = None
        self._class(self._sizes[key.arena]).held[key] = None
        self.used_bytes += self._sizes[key.arena]

    def cooled(self, key: SlotKey) -> None:
        """Books a free or held slot as cold: its memory was given back."""
        self._leave(key)
        self._class(self._sizes[key.arena]).cold[key] = None
        self._cold_in[key.arena] += 1

    def swept(self, now_s: float) -> None:
        """Books how much is in use, those that were `overdue` having just been asked.

        (At other times too much counts as held: nobody says so when it is free again.)
        """
        passed_s = now_s - self._period_s
        if passed_s >= IDLE_S:
            self._peaks = [0, self._peaks[0] if passed_s < 2 * IDLE_S else 0]
            self._period_s = now_s
        self._peaks[0] = max(self._peaks[0], self.used_bytes)

    # ------------------------------------------------------------------ decisions
    def candidates(self, class_bytes: int) -> Iterator[SlotKey]:
        """Yields slots with memory to ask for, best first.

        Before it asks for the next one, the caller says that the last one is `busy`.
        """
        own = self._class(class_bytes)
        held = len(own.held)
        for _ in range(min(_ASK_FREE, len(own.free))):
            yield next(reversed(own.free))
        full = self.warm_bytes + class_bytes > self.limit_bytes
        for _ in range(min(_ASK_WHEN_FULL if full else _ASK_HELD, held)):
            yield next(iter(own.held))
        # Sizes that change all the time would else find nothing warm.
        larger_bytes = class_bytes
        for _ in range(_LARGER_CLASSES):
            larger_bytes = size_class(larger_bytes + 1, self.page_bytes)
            larger = self._classes.get(larger_bytes)
            if larger is not None and larger.free:
                yield next(reversed(larger.free))

    def surplus(self, now_s: float, wanted_bytes: int = 0) -> list[SlotKey]:
        """Free slots whose memory is to be given back, those free for longest first.

        Args:
            now_s: The time.
            wanted_bytes: Room to make under the limit, if that can be done at all.
        """
        over_limit = self.warm_bytes + wanted_bytes - self.limit_bytes
        if over_limit > self.free_bytes:
            over_limit = 0
        over_share = self.free_bytes - max(WARM_BYTES, *self._peaks)
        back: list[SlotKey] = []
        given = 0
        for key, since_s in self._free.items():
            if given >= over_limit and given >= over_share and now_s - since_s < IDLE_S:
                break
            back.append(key)
            given += self._sizes[key.arena]
        return back

    def has_room(self, class_bytes: int) -> bool:
        """Whether one more slot of this size would keep to the limit."""
        return self.warm_bytes + class_bytes <= self.limit_bytes

    def cold(self, class_bytes: int) -> SlotKey | None:
        """A slot of this size to get memory for, the lowest that there is."""
        return next(iter(self._class(class_bytes).cold), None)

    def may_open(self) -> bool:
        """Whether one more arena may be made."""
        return len(self._sizes) < self.max_arenas

    def overdue(self, most: int = SWEEP) -> list[SlotKey]:
        """Held slots of any size to ask for again, those asked longest ago first."""
        return list(islice(self._held, most))

    def empty_arenas(self) -> list[int]:
        """Arenas that have no memory any more."""
        return [arena for arena, cold in self._cold_in.items() if cold == self._slots_in[arena]]

    # ------------------------------------------------------------------
    def _class(self, class_bytes: int) -> _Class:
        found = self._classes.get(class_bytes)
        if found is None:
            found = self._classes[class_bytes] = _Class()
        return found

    def _leave(self, key: SlotKey) -> None:
        """Takes a slot out of the state that it is in, which is not used."""
        class_bytes = self._sizes[key.arena]
        of_class = self._classes[class_bytes]
        if key in self._free:
            del self._free[key], of_class.free[key]
            self.free_bytes -= class_bytes
        elif key in self._held:
            del self._held[key], of_class.held[key]
            self.used_bytes -= class_bytes
        else:
            del of_class.cold[key]
            self._cold_in[key.arena] -= 1
