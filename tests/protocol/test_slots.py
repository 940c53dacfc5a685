"""Slots: which one to write next, when to make more, and which to give back; in virtual time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from minipipe.shm.allocator import (
    ARENA_MAX_SLOTS,
    IDLE_S,
    MIB,
    WARM_BYTES,
    SlotKey,
    Slots,
    size_class,
    slots_per_arena,
)

SMALL, LARGE = 64 * 1024, 16 * MIB


# ------------------------------------------------------------------ sizes
@given(st.integers(1, 2**45), st.sampled_from([4096, 16384, 65536]))
def test_a_size_class_wastes_less_than_a_quarter_and_a_page(size: int, page: int) -> None:
    found = size_class(size, page)
    assert found >= size
    assert found % page == 0
    assert found < max(size, page) * 1.25 + page
    assert size_class(found, page) == found


@given(st.integers(1, 2**40), st.integers(0, 2**40))
def test_a_larger_array_never_gets_a_smaller_slot(size: int, more: int) -> None:
    assert size_class(size) <= size_class(size + more)


@given(st.integers(0, 30))
def test_there_are_four_classes_to_a_power_of_two(power: int) -> None:
    low = 2**16 * 2**power
    classes = {size_class(low + low * step // 64) for step in range(1, 65)}
    assert len(classes) == 4


@given(st.integers(2**16, 2**45))
def test_an_arena_has_many_small_slots_and_few_large_ones(size: int) -> None:
    assert 16 <= slots_per_arena(size_class(size)) <= ARENA_MAX_SLOTS


# ------------------------------------------------------------------ the life of slots
class Owner:
    """Does as it is told, like a pool; `elsewhere` are the slots that other processes hold."""

    def __init__(self, limit_bytes: int, max_arenas: int = 256) -> None:
        self.slots = Slots(limit_bytes, max_arenas=max_arenas)
        self.elsewhere: set[SlotKey] = set()
        self.used: list[SlotKey] = []
        self.memory: dict[SlotKey, int] = {}
        self.asked = 0
        self.now_s = 0.0
        self.arenas = 0

    def take(self, size_bytes: int) -> SlotKey | None:
        class_bytes = size_class(size_bytes)
        for key in self.slots.candidates(class_bytes):
            self.asked += 1
            assert self.memory[key] >= size_bytes
            if key not in self.elsewhere:
                return self._hand_out(key)
            self.slots.busy(key)
        for key in self.slots.surplus(self.now_s, class_bytes):
            self._give_back(key)
        if not self.slots.has_room(class_bytes):
            return None
        cold = self.slots.cold(class_bytes)
        if cold is None:
            if not self.slots.may_open():
                return None
            self.slots.opened(self.arenas, class_bytes, slots_per_arena(class_bytes))
            self.arenas += 1
            cold = self.slots.cold(class_bytes)
        assert cold is not None and cold not in self.memory
        self.memory[cold] = class_bytes
        return self._hand_out(cold)

    def _hand_out(self, key: SlotKey) -> SlotKey:
        assert key not in self.used
        self.slots.taken(key)
        self.used.append(key)
        return key

    def release(self, key: SlotKey, *, elsewhere: bool = False) -> None:
        self.used.remove(key)
        if elsewhere:
            self.elsewhere.add(key)
        self.slots.released(key, self.now_s)

    def tend(self) -> None:
        for key in self.slots.overdue():
            if key in self.elsewhere:
                self.slots.busy(key)
            else:
                self.slots.released(key, self.now_s)
        self.slots.swept(self.now_s)
        for key in self.slots.surplus(self.now_s):
            self._give_back(key)
        for arena in self.slots.empty_arenas():
            assert not any(key.arena == arena for key in self.memory)
            self.slots.closed(arena)

    def _give_back(self, key: SlotKey) -> None:
        assert key not in self.used
        if key in self.elsewhere:
            self.slots.busy(key)
        else:
            self.slots.cooled(key)
            del self.memory[key]


class SlotsMachine(RuleBasedStateMachine):
    """An owner, and others that hold some of its slots for some time."""

    def __init__(self) -> None:
        super().__init__()
        self.owner = Owner(limit_bytes=128 * MIB, max_arenas=4)

    @rule(size=st.sampled_from([SMALL, SMALL + 1, 3 * MIB, LARGE, 50 * MIB, 200 * MIB]))
    def take(self, size: int) -> None:
        self.owner.take(size)

    @precondition(lambda self: self.owner.used)
    @rule(data=st.data(), elsewhere=st.booleans())
    def release(self, data: st.DataObject, elsewhere: bool) -> None:
        self.owner.release(data.draw(st.sampled_from(self.owner.used)), elsewhere=elsewhere)

    @precondition(lambda self: self.owner.elsewhere)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        self.owner.elsewhere.remove(data.draw(st.sampled_from(sorted(self.owner.elsewhere))))

    @rule(passed_s=st.sampled_from([0.0, 1.0, IDLE_S, 5 * IDLE_S]))
    def tend(self, passed_s: float) -> None:
        self.owner.now_s += passed_s
        self.owner.tend()

    @invariant()
    def memory_is_booked_and_within_the_limit(self) -> None:
        owner = self.owner
        assert owner.slots.warm_bytes == sum(owner.memory.values()) <= owner.slots.limit_bytes
        assert len(owner.slots._sizes) <= owner.slots.max_arenas

    def teardown(self) -> None:
        """When everybody has let go, everything is given back."""
        owner = self.owner
        for key in list(owner.used):
            owner.release(key)
        owner.elsewhere.clear()
        for _ in range(2):
            owner.tend()
            owner.now_s += IDLE_S
        owner.tend()
        assert (owner.slots.warm_bytes, len(owner.slots._sizes), owner.memory) == (0, 0, {})


TestSlots = SlotsMachine.TestCase
TestSlots.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def taken(owner: Owner, size_bytes: int) -> SlotKey:
    key = owner.take(size_bytes)
    assert key is not None
    return key


def test_the_slot_that_was_released_last_is_used_first() -> None:
    owner = Owner(2**30)
    keys = [taken(owner, SMALL) for _ in range(3)]
    for key in keys:
        owner.release(key)
    assert [owner.take(SMALL) for _ in range(3)] == keys[::-1]


def test_of_the_slots_that_others_hold_the_oldest_is_asked_first() -> None:
    owner = Owner(2**30)
    keys = [taken(owner, SMALL) for _ in range(3)]
    for key in keys:
        owner.release(key, elsewhere=True)
    for _ in range(2):  # finds out that they are held
        taken(owner, SMALL)
    owner.elsewhere.clear()
    assert owner.take(SMALL) == keys[0] or owner.take(SMALL) == keys[0]


def test_a_slot_of_a_somewhat_larger_size_will_do() -> None:
    owner = Owner(2**30)
    key = taken(owner, 128 * 1024)
    owner.release(key)
    assert owner.take(80 * 1024) == key
    owner.release(key)
    assert owner.take(SMALL) == key  # half of it
    owner.release(key)
    assert owner.take(SMALL - 16 * 1024) != key


def test_a_slot_that_is_held_for_ever_costs_no_more_than_a_few_questions_each_time() -> None:
    owner = Owner(2**30)
    for _ in range(500):
        owner.release(taken(owner, SMALL), elsewhere=True)
    owner.asked = 0
    for _ in range(10):
        taken(owner, SMALL)
    assert owner.asked <= 10 * 7


def test_a_buffer_from_which_others_drop_at_random_keeps_its_size_within_bounds() -> None:
    owner = Owner(2**30)
    for turn in range(3000):
        owner.release(taken(owner, SMALL), elsewhere=True)
        if len(owner.elsewhere) > 100:
            owner.elsewhere.remove(sorted(owner.elsewhere)[turn * 7919 % 100])
    assert len(owner.memory) < 250


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(SMALL, LARGE), min_size=20, max_size=200))
def test_what_lies_free_is_bounded_however_the_sizes_change(sizes: list[int]) -> None:
    owner = Owner(2**40)
    for size in sizes:
        owner.release(taken(owner, size))
        owner.now_s += 0.01
    owner.tend()
    assert owner.slots.free_bytes <= WARM_BYTES


def test_as_much_as_was_in_use_lately_stays_warm() -> None:
    owner = Owner(2**40)
    keys = [taken(owner, LARGE) for _ in range(10)]
    owner.tend()
    for key in keys:
        owner.release(key)
    owner.now_s = IDLE_S - 1
    owner.tend()
    assert owner.slots.free_bytes == 10 * LARGE
    owner.now_s = IDLE_S
    owner.tend()
    assert owner.slots.free_bytes == 0
