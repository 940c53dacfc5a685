"""Links between hosts: every course of events of small ones, and drawn courses of larger ones."""

from __future__ import annotations

import itertools
import pickle
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.protocol.flow import link_ways
from minipipe.protocol.flow.link import Link
from minipipe.protocol.flow.link_actions import (
    Action,
    Connect,
    Disconnect,
    Ended,
    GoOn,
    Hold,
    Lost,
    OtherEnded,
    Release,
)
from minipipe.protocol.flow.link_frames import Acknowledge, Beat, Farewell, Message, Resume
from minipipe.protocol.flow.link_ways import Received, Sent
from minipipe.protocol.flow.patience import Patience
from tests.protocol.link_world import SIDES, World, moves

MOST_QUEUED = 3
AT_ONCE = Patience(retry_s=0.0)


def searched(messages: tuple[int, int], cuts: int, most: int = 100_000, *, parts: int = 1) -> int:
    """Every course of events; the number of states, each of which was right."""
    first = World(patience=AT_ONCE, parts=parts)
    for side in SIDES:
        first.passes(side)
    todo = [(pickle.dumps(first), 0)]
    seen = {(first.key(), 0)}
    while todo:
        packed, used = todo.pop()
        world: World = pickle.loads(packed)
        steps = list(moves(world, messages, cuts, used))
        steps += [("put", side) for side in SIDES if len(world.queues[1 - side][0]) < MOST_QUEUED]
        stuck = True
        for name, side in steps:
            after: World = pickle.loads(packed)
            if name == "put":
                if not after.put(side):
                    continue
            elif name in ("connect", "cut"):
                getattr(after, name)()
            else:
                getattr(after, name)(side)
            for one in SIDES:
                if after.sent[one] == messages[one]:
                    after.end(one)
                after.passes(one)
            stuck = False
            key = (after.key(), used + (name == "cut"))
            if key not in seen:
                assert len(seen) < most
                seen.add(key)
                todo.append((pickle.dumps(after), key[1]))
        if stuck:
            is_at_its_end(world, messages)
    return len(seen)


def is_at_its_end(world: World, messages: tuple[int, int]) -> None:
    """Everything has arrived and was released; what is left to come comes with time."""
    assert world.sent == [*messages]
    assert world.is_all(0) and world.is_all(1)
    assert world.delivered == world.handed == [*reversed(world.released)]
    for _ in range(100):
        world.now_s += 1.0
        for side in SIDES:
            world.passes(side)
        if world.wanted:
            world.connect()
        for side in SIDES:
            while world.put(side):
                pass
            while world.queues[side][0]:
                world.take(side)
    assert world.ended == [True, True]
    assert world.lost == ["", ""]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Acknowledgements may go at any time: when they do, is drawn by when a frame is asked for."""
    monkeypatch.setattr(link_ways, "ACKNOWLEDGE_S", 0.0)


@pytest.mark.parametrize(
    ("messages", "cuts", "parts"),
    [((1, 1), 2, 1), ((2, 0), 2, 1), ((2, 1), 1, 1), ((2, 0), 2, 2), ((1, 1), 1, 2)],
)
def test_every_course_of_a_small_link_delivers_once_and_in_order(
    at_once: None, messages: tuple[int, int], cuts: int, parts: int
) -> None:
    assert searched(messages, cuts, parts=parts) > 1000


@pytest.mark.parametrize(
    ("cls", "name", "broken"),
    [
        (Sent, "go_on_after", lambda self, number: None),
        (Received, "tell_again", lambda self, now_s: None),
        (Received, "take", lambda self, message: [message]),
        (Sent, "recut", lambda self, into: [into(one.body) for one in self._kept]),
    ],
)
def test_each_rule_is_needed(
    at_once: None, monkeypatch: pytest.MonkeyPatch, cls: type, name: str, broken: object
) -> None:
    monkeypatch.setattr(cls, name, broken)
    with pytest.raises((AssertionError, IndexError)):
        searched((1, 1), 2, parts=1 + (name == "recut"))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    lanes=st.integers(1, 3),
    messages=st.integers(0, 40),
    cuts=st.integers(0, 6),
    parts=st.integers(1, 3),
)
def test_a_drawn_course_delivers_once_and_in_order(
    seed: int, lanes: int, messages: int, cuts: int, parts: int
) -> None:
    world = drawn(seed, lanes, messages, cuts, steps=30_000, parts=parts)
    assert world.lost == ["", ""]
    assert all(world.ended)
    assert world.sent == [messages] * 2 and world.counted == [messages * parts] * 2
    assert world.is_all(0) and world.is_all(1)
    assert world.delivered == world.handed == [*reversed(world.released)]


def test_what_came_early_by_another_lane_is_not_taken_for_what_is_cut_again() -> None:
    world = World(patience=Patience(), lanes=2, parts=2)
    world.passes(0)
    world.connect()
    for side in SIDES:
        world.put(side)
        world.take(1 - side)
    world.send(0), world.send(0)
    world.put(0, lane=0), world.put(0, lane=1)
    world.take(1, lane=1)  # the second one, which waits
    world.cut()
    world.now_s += 1.0
    world.passes(0)
    world.connect()
    for side in SIDES:
        world.put(side)
        world.take(1 - side)
    while world.put(0):
        world.take(1)
    assert world.counted[1] == 4


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    messages=st.integers(0, 3),
    cuts=st.integers(0, 2),
    steps=st.integers(0, 200),
)
def test_who_is_cut_off_for_good_is_lost_or_had_ended(
    seed: int, messages: int, cuts: int, steps: int
) -> None:
    world = drawn(seed, 1, messages, cuts, steps)
    world.cut()
    for _ in range(40):
        world.now_s += 1.0
        for side in SIDES:
            world.passes(side)  # where it is asserted that an end is none too early
        world.cut()
    for side in SIDES:
        assert world.ended[side] != bool(world.lost[side])


def drawn(seed: int, lanes: int, messages: int, cuts: int, steps: int, parts: int = 1) -> World:
    """A world after so many steps of any kind, or at the end of its link."""
    world = World(patience=Patience(), lanes=lanes, window_bytes=100, parts=parts)
    random = Random(seed)
    for _ in range(30_000):
        if all(world.ended):
            break
        world.now_s += random.choice((0.0, 0.001, 0.01, 0.1))
        side = random.choice(SIDES)
        what = random.randrange(8)
        link = world.links[side]
        if what == 0 and world.sent[side] < messages and link.has_room:
            world.send(side, random.choice((0, 1, 30, 200)))
        elif what == 0 and world.sent[side] == messages:
            world.end(side)
        elif what in (1, 2):
            if not world.put(side, random.randrange(lanes)):
                world.rests(side)
        elif what in (3, 4):
            lane = random.randrange(lanes)
            if world.queues[side][lane]:
                world.take(side, lane)
        elif what == 5 and world.handed[side] < world.delivered[side]:
            world.hand(side)
        elif what == 6 and world.wanted:
            world.connect()
        elif what == 7 and cuts and random.random() < 0.05:
            cuts -= 1
            world.cut()
        for one in SIDES:
            world.passes(one)
    return world


# ------------------------------------------------------------------------ by hand
def connected(now_s: float = 0.0) -> Link:
    link = Link(1, connects=True, now_s=now_s)
    assert link.passed(now_s) == [Connect()]
    link.opened(now_s)
    assert link.next_frame(now_s) == Resume(1, 0, 0)
    assert link.arrived(Resume(2, 0, 0), now_s) == []
    return link


def test_what_is_under_way_is_bounded_by_a_window_and_one_message_always_goes() -> None:
    link = Link(1, connects=False, now_s=0.0, window_bytes=100)
    link.send("large", 500)
    assert not link.has_room
    link.opened(0.0)
    link.arrived(Resume(2, 0, 0), 0.0)
    link.next_frame(0.0)
    assert link.next_frame(0.0) == Message(1, 500, "large")
    assert link.arrived(Acknowledge(1), 0.0) == [Release(1, (Message(1, 500, "large"),))]
    assert link.has_room


def test_acknowledgements_wait_for_each_other() -> None:
    link = connected()
    for number in range(1, 16):
        link.arrived(Message(number, 1, None), 0.0)
        link.handed_over(number, 0.0)
        assert link.next_frame(0.0) is None
    link.arrived(Message(16, 1, None), 0.0)
    link.handed_over(16, 0.0)
    assert link.next_frame(0.0) == Acknowledge(16)
    link.arrived(Message(17, 1, None), 0.0)
    link.handed_over(17, 0.0)
    assert link.next_frame(0.0) is None
    assert link.due_s == pytest.approx(link_ways.ACKNOWLEDGE_S)
    assert link.next_frame(link.due_s) == Acknowledge(17)


def test_large_messages_are_acknowledged_before_the_window_is_full() -> None:
    link = connected()
    link.arrived(Message(1, 16 << 20, None), 0.0)
    link.handed_over(1, 0.0)
    assert link.next_frame(0.0) == Acknowledge(1)


def test_an_end_that_is_quiet_says_that_it_is_there() -> None:
    link = connected()
    assert link.next_frame(0.5) is None
    assert link.next_frame(1.0) == Beat()
    assert link.next_frame(1.5) is None


def pass_until(link: Link, now_s: float, until_s: float) -> list[tuple[float, object]]:
    """What it does until then, if nobody speaks to it."""
    done: list[tuple[float, object]] = []
    while now_s < until_s and not link.is_over:
        now_s = min(max(link.due_s, now_s + 0.001), until_s)
        link.next_frame(now_s)
        done += [(round(now_s, 3), action) for action in link.passed(now_s)]
    return done


def test_silence_replaces_the_connection_then_holds_then_loses() -> None:
    link = connected()
    done = pass_until(link, 0.0, 20.0)
    assert [type(action) for _, action in done][:2] == [Disconnect, Connect]
    times = {type(action): time_s for time_s, action in done}
    assert done[0][0] == pytest.approx(3.0)
    assert times[Hold] == pytest.approx(10.0)
    assert times[Lost] == pytest.approx(15.0)


def test_who_has_nothing_more_to_say_still_loses_the_other_end() -> None:
    link = connected()
    link.end()
    assert link.next_frame(0.0) == Farewell("")
    done = pass_until(link, 0.0, 20.0)
    assert isinstance(done[-1][1], Lost)


def test_an_end_stays_until_the_other_one_has_heard_it() -> None:
    link = connected()
    link.end()
    assert link.next_frame(0.0) == Farewell("")
    assert link.arrived(Farewell(""), 0.0) == [OtherEnded()]
    assert link.next_frame(0.0) == Farewell("", heard=True)
    assert link.passed(0.1) == []
    assert link.arrived(Farewell("", heard=True), 0.1) == []
    assert link.passed(0.1) == [Ended()]


def test_who_is_heard_again_goes_on() -> None:
    link = connected()
    done = pass_until(link, 0.0, 11.0)
    assert Hold() in [action for _, action in done]
    link.opened(11.0)
    assert link.next_frame(11.0) == Resume(1, 2, 0)
    assert link.arrived(Resume(2, 1, 0), 11.0) == [GoOn()]


def test_who_was_asleep_reads_first_and_does_not_give_up() -> None:
    link = connected()
    assert link.passed(100.0) == [Hold()]
    link.next_frame(100.0)
    assert 100.5 < link.due_s < 103.0
    assert link.passed(102.0) == []  # what has come is still on its way from the socket
    assert link.arrived(Beat(), 102.1) == [GoOn()]
    assert link.passed(104.0) == []
    assert not link.is_over


def test_who_was_asleep_and_hears_nothing_then_gives_up() -> None:
    link = connected()
    assert link.passed(100.0) == [Hold()]
    (time_s, lost) = pass_until(link, 100.0, 110.0)[-1]
    assert time_s == pytest.approx(103.0) and isinstance(lost, Lost)


def test_attempts_to_connect_are_repeated_with_patience() -> None:
    link = Link(1, connects=True, now_s=0.0)
    times, now_s = [], 0.0
    while now_s < 9.0:
        if Connect() in link.passed(now_s):
            times.append(now_s)
            link.broke(now_s)  # refused at once
        now_s = link.due_s
    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert gaps[:5] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])
    assert max(gaps) == pytest.approx(2.0)


def test_another_process_in_its_place_is_no_resumption() -> None:
    link = connected()
    link.broke(1.0)
    link.opened(2.0)
    (lost,) = link.arrived(Resume(3, 0, 0), 2.0)
    assert isinstance(lost, Lost)
    assert "another process" in lost.why


def test_who_was_given_up_hears_so_when_it_comes_back() -> None:
    link = Link(1, connects=False, now_s=0.0)
    pass_until(link, 0.0, 20.0)
    assert link.is_over
    link.opened(30.0)
    farewell = link.next_frame(30.0)
    assert isinstance(farewell, Farewell)
    assert "silent" in farewell.why
    other = connected()
    (lost,) = other.arrived(farewell, 0.0)
    assert isinstance(lost, Lost)
    assert "silent" in lost.why


@pytest.mark.parametrize(
    "frame", [Message(1, 1, None), Acknowledge(1), Beat()], ids=lambda frame: type(frame).__name__
)
def test_who_does_not_say_first_where_it_is_gets_another_connection(frame: Message) -> None:
    link = Link(1, connects=True, now_s=0.0)
    link.passed(0.0)
    link.opened(0.0)
    (action,) = link.arrived(frame, 0.0)
    assert isinstance(action, Disconnect)


@pytest.mark.parametrize("frame", [Acknowledge(5), Resume(2, 1, 5)])
def test_what_was_never_sent_cannot_have_arrived(frame: Acknowledge | Resume) -> None:
    link = connected()
    if isinstance(frame, Resume):
        link.broke(0.0)
        link.opened(0.0)
    (action,) = link.arrived(frame, 0.0)
    assert isinstance(action, Lost)


def test_another_host_is_waited_for_longer_if_something_would_be_lost_with_it() -> None:
    link = Link(1, connects=False, now_s=0.0)
    link.wait_longer(100.0)
    link.wait_longer(50.0)  # of two workers the one that is waited for longest counts
    said: list[Action] = []
    for now_s in range(1, 100):
        said += link.passed(float(now_s))
    assert said == [Hold()]
    (lost,) = link.passed(100.0)
    assert isinstance(lost, Lost)


def test_it_is_waited_for_as_at_first_when_nothing_would_be_lost_any_more() -> None:
    link = connected()
    link.wait_longer(100.0)
    assert link.send("body", 1) == 1
    assert isinstance(link.next_frame(0.0), Message)
    link.wait_as_at_first()  # this message would be
    link.broke(0.0)
    assert not any(isinstance(action, Lost) for action in passing(link, 0, 50))
    link.opened(50.0)
    link.arrived(Resume(2, 1, 1), 50.0)
    link.arrived(Acknowledge(1), 50.0)
    link.wait_as_at_first()
    link.broke(50.0)
    assert any(isinstance(action, Lost) for action in passing(link, 50, 66))


def passing(link: Link, begin_s: int, end_s: int) -> list[Action]:
    """What it comes to while so many seconds pass."""
    return [action for now_s in range(begin_s, end_s) for action in link.passed(float(now_s))]
