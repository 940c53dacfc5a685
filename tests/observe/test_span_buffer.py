"""Spans in memory of a fixed size: exact while there is room, then put together; never torn."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st

from minipipe.observe.span_buffer import (
    BUSY,
    LATE,
    LEAST,
    NEAR_NS,
    NOBODYS,
    ORIGIN,
    RECORD,
    Record,
    SpanBuffer,
    coarsened,
    room_of,
    size_bytes,
    unpacked,
    used,
)
from minipipe.observe.timeline import Span, Timeline, Track, resolved, since_first_call
from minipipe.protocol.run.vital_signs import Activity

ROOM = (4, 16)


@dataclass(frozen=True)
class Step:
    gap_ns: int
    lasted_ns: int
    activity: int  # 0: time that is found out later


steps = st.lists(
    st.builds(
        Step,
        st.integers(0, 3 * NEAR_NS),
        st.integers(1, 10**9),
        st.sampled_from((0, int(Activity.BUSY), int(Activity.STARVED), int(Activity.BLOCKED))),
    ),
    max_size=200,
)


def write(buffer: SpanBuffer, done: list[Step], now_ns: int = 1000) -> dict[int, int]:
    """Does all this; how long each activity took."""
    sums = {0: 0, 2: 0, 3: 0, 4: 0}
    late_from = now_ns
    for i, step in enumerate(done):
        begin_ns = now_ns + step.gap_ns
        now_ns = begin_ns + step.lasted_ns
        if step.activity:
            item = i + 1 if step.activity == BUSY else 0
            buffer.add(step.activity, begin_ns, now_ns, item, 7)
            sums[step.activity] += step.lasted_ns
        else:
            buffer.add_late(late_from, now_ns, step.lasted_ns)
            sums[0] += step.lasted_ns
            late_from = now_ns
    return sums


def spans_in(memory: bytes | bytearray) -> tuple[Span, ...]:
    return resolved(unpacked(used(memory)[1]))


def check_are_apart(spans: tuple[Span, ...]) -> None:
    until_ns = 0
    for span in spans:
        assert span.begin_ns >= until_ns
        assert span.end_ns > span.begin_ns
        assert min(span.busy_ns, span.starved_ns, span.blocked_ns, span.own_ns) >= 0
        until_ns = span.end_ns


def test_while_there_is_room_every_call_is_a_span_of_its_own() -> None:
    memory = bytearray(size_bytes(ROOM))
    buffer = SpanBuffer(memory, ROOM, 1000)
    for i in range(sum(ROOM)):
        buffer.add(Activity.BUSY, 2000 + 10 * i, 2005 + 10 * i, item=i + 1, origin=3)
    assert used(memory)[0] == 1000
    assert spans_in(memory) == tuple(
        Span(2000 + 10 * i, 2005 + 10 * i, busy_ns=5, calls=1, number=i, origin=3)
        for i in range(sum(ROOM))
    )


def test_the_first_ones_stay_exact_and_no_call_is_lost_count_of() -> None:
    memory = bytearray(size_bytes(ROOM))
    buffer = SpanBuffer(memory, ROOM, 1000)
    for i in range(10_000):
        buffer.add(Activity.BUSY, 2000 + 10 * i, 2005 + 10 * i, item=i + 1)
    spans = spans_in(memory)
    assert [span.number for span in spans[: ROOM[0]]] == [0, 1, 2, 3]
    assert len(spans) <= sum(ROOM)
    assert sum(span.calls for span in spans) == 10_000
    assert sum(span.busy_ns for span in spans) == 50_000
    assert spans[-1].end_ns == 2005 + 10 * 9_999


def test_what_takes_long_is_seen_as_it_was_among_many_short_ones() -> None:
    memory = bytearray(size_bytes(ROOM))
    buffer, now_ns = SpanBuffer(memory, ROOM, 0), 1
    for i in range(5_000):
        lasted_ns = 10**9 if i == 2_500 else 1000
        buffer.add(Activity.BUSY, now_ns, now_ns + lasted_ns, item=i + 1)
        now_ns += lasted_ns + 10
    assert [span.number for span in spans_in(memory) if span.lasted_ns == 10**9] == [2_500]


def test_waits_that_are_looked_up_from_are_one() -> None:
    memory = bytearray(size_bytes(ROOM))
    buffer = SpanBuffer(memory, ROOM, 0)
    for i in range(1000):
        buffer.add(Activity.STARVED, 1 + 1000 * i, 991 + 1000 * i)
    (span,) = spans_in(memory)
    assert (span.begin_ns, span.end_ns, span.starved_ns) == (1, 999_991, 990_000)
    assert not span.is_sampled


def test_code_outside_of_items_is_no_call() -> None:
    memory = bytearray(size_bytes(ROOM))
    SpanBuffer(memory, ROOM, 0).add(Activity.BUSY, 1, 5, NOBODYS, 3)
    assert spans_in(memory) == (Span(1, 5, busy_ns=4),)


def test_late_time_is_where_nothing_else_was() -> None:
    memory = bytearray(size_bytes(ROOM))
    buffer = SpanBuffer(memory, ROOM, 0)
    buffer.add(Activity.STARVED, 1100, 1200)
    buffer.add_late(1000, 1400, 150)
    assert spans_in(memory) == (
        Span(1000, 1100, busy_ns=50),
        Span(1100, 1200, starved_ns=100),
        Span(1200, 1400, busy_ns=100),
    )


def test_a_timeline_from_its_first_call_on_has_no_start_and_no_end() -> None:
    spans = (Span(10, 15, starved_ns=5), Span(20, 30, busy_ns=10), Span(35, 40, blocked_ns=5))
    line = Timeline(0, 50, ("a",), (Track(1, "a", "a", 7, 5, 50, "gone", spans),))
    cut = since_first_call(line)
    assert (cut.began_ns, cut.ended_ns) == (20, 30)
    assert (cut.tracks[0].born_ns, cut.tracks[0].spans) == (0, spans[1:2])
    idle = Timeline(0, 50, ("a",), ())
    assert since_first_call(idle) == idle


@settings(deadline=None)
@given(steps)
def test_all_times_are_kept_and_the_spans_are_apart(done: list[Step]) -> None:
    memory = bytearray(size_bytes(ROOM))
    sums = write(SpanBuffer(memory, ROOM, 1000), done)
    records = unpacked(used(memory)[1])
    assert len(records) <= sum(ROOM)
    assert sum(record[2] for record in records) == sums[BUSY] + sums[0]
    assert sum(record[3] for record in records) == sums[Activity.STARVED]
    assert sum(record[4] for record in records) == sums[Activity.BLOCKED]
    spans = resolved(records)
    check_are_apart(spans)
    if not sums[0]:  # else more may be said to be late than there is time for
        exact = sum(span.busy_ns for span in spans)
        assert exact == sums[BUSY]


class Torn(Exception):
    pass


class Fragile(SpanBuffer):
    """It is killed in the middle of putting cells together."""

    writes_left = 0

    def _coarsen(self) -> None:
        whole = bytearray(self._memory)
        super()._coarsen()
        # As a kill would leave it: some of the new area is written, and no word says so.
        start = 8 * self._start_of(self._area)
        end = start + RECORD.size * self.writes_left
        whole[start:end] = self._memory[start:end]
        self._memory[:] = whole
        raise Torn


@settings(deadline=None)
@given(steps, st.integers(0, ROOM[1]))
@example([Step(NEAR_NS, 10, int(Activity.BUSY))] * 40, 5)
def test_a_kill_in_the_middle_of_putting_together_tears_nothing(
    done: list[Step], writes: int
) -> None:
    memory = bytearray(size_bytes(ROOM))
    buffer = Fragile(memory, ROOM, 1000)
    buffer.writes_left = writes
    try:
        write(buffer, done)
    except Torn:
        assert len(unpacked(used(memory)[1])) == sum(ROOM)
    check_are_apart(spans_in(memory))


@given(st.binary(max_size=200) | st.binary(min_size=size_bytes(ROOM), max_size=size_bytes(ROOM)))
@settings(deadline=None)
def test_a_file_of_anything_is_no_trace(memory: bytes) -> None:
    assert used(memory) == (0, b"")


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.data())
@settings(deadline=None)
def test_torn_words_give_spans_that_are_apart(heads: int, state: int, data: st.DataObject) -> None:
    memory = bytearray(size_bytes(ROOM))
    write(SpanBuffer(memory, ROOM, 1000), data.draw(steps))
    words = memoryview(memory).cast("Q")
    words[4], words[5] = heads, state
    check_are_apart(spans_in(memory))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**6), st.booleans()), min_size=2),
    st.integers(0, 10**7),
    st.integers(2, 40),
)
def test_coarsened_cells_leave_room(
    times: list[tuple[int, int, bool]], grain: int, room: int
) -> None:
    cells: list[Record] = []
    now = 0
    for gap, lasted, is_late in times:
        begin, now = now + gap, now + gap + lasted
        cells.append((begin, now, lasted, 0, 0, 1, 0, LATE if is_late else 0))
    fewer, coarse = coarsened(cells, grain, room)
    assert len(fewer) <= max(1, 3 * room // 4)
    assert coarse > grain or coarse == 2 * grain
    assert sum(cell[2] for cell in fewer) == sum(lasted for _, lasted, _ in times)
    late = [cell for cell in fewer if cell[ORIGIN] == LATE]
    assert bool(late) <= any(is_late for *_, is_late in times)


@given(st.integers(0, 100_000))
def test_many_workers_have_less_room_each_and_some_in_any_case(workers: int) -> None:
    head, cells = room_of(workers)
    assert LEAST // 2 <= head <= 1024
    assert LEAST <= cells <= 2048
