"""What a sender sends again, against sets of paths for every number."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from minipipe.protocol.delivery.ledger import Ledger
from minipipe.protocol.delivery.paths import ROOT, Path, complete
from minipipe.protocol.delivery.recovery import Recovery
from minipipe.protocol.delivery.settling import DONE

RECEIVERS = (11, 12, 13)
BOTH = (0, 1)
PATHS: tuple[Path, ...] = (ROOT, ((0, BOTH),), ((1, BOTH),))


class RecoveryMachine(RuleBasedStateMachine):
    """A sender that recovers, while receivers say what they hold and confirm at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(limit_bytes=10**6, min_items=10**6)
        self.recovery = Recovery(self.ledger)
        self.settled: dict[int, set[Path]] = {}
        self.sent = 0
        self.epoch = 0  # the supervisor's
        self.alive = set(RECEIVERS)
        # What each receiver has said: (epoch, what it holds), the latest.
        self.said: dict[int, tuple[int, list[tuple[int, Path]]]] = {}
        self.waits_for: set[int] = set()
        self.held: dict[int, set[Path]] | None = None  # what counts while it sends again
        self.again_from = 0

    # ------------------------------------------------------------------ what comes
    @precondition(lambda self: not self.recovery.busy)
    @rule(count=st.integers(1, 5))
    def send(self, count: int) -> None:
        self.ledger.open(count, 1, None)
        self.settled.update((n, set()) for n in range(self.sent, self.sent + count))
        self.sent += count

    @precondition(lambda self: self.settled)
    @rule(data=st.data(), path=st.sampled_from(PATHS))
    def confirm(self, data: st.DataObject, path: Path) -> None:
        number = data.draw(st.sampled_from(sorted(self.settled)))
        self.ledger.acknowledge([(number, number + 1)], path)
        self.settled[number].add(path)
        if complete(ROOT, self.settled[number]):
            del self.settled[number]

    @rule(data=st.data(), dies=st.booleans())
    def fence(self, data: st.DataObject, dies: bool) -> None:
        if dies and len(self.alive) > 1:
            dead = data.draw(st.sampled_from(sorted(self.alive)))
            self.alive.discard(dead)
            self.said.pop(dead, None)
            self.recovery.lost([dead])
        self.epoch += 1
        assert self.recovery.fence(self.epoch, self.alive)
        self.held = None
        self.waits_for = {r for r in self.alive if self.said.get(r, (0, []))[0] != self.epoch}
        self.begin_if_all_have_spoken()

    @rule(epoch=st.integers(0, 3))
    def old_news(self, epoch: int) -> None:
        assert not self.recovery.fence(min(epoch, self.epoch), self.alive)

    @rule(data=st.data(), ahead=st.sampled_from((-1, 0, 0, 1)))
    def fenced(self, data: st.DataObject, ahead: int) -> None:
        """A receiver hears of an epoch, perhaps before the sender does; or it says so late."""
        receiver = data.draw(st.sampled_from(sorted(self.alive)))
        epoch = self.epoch + ahead
        said = self.said.get(receiver, (0, []))[0]
        if epoch < said:  # a worker says this in the order of the epochs: links do not turn it
            assert not self.recovery.fenced(receiver, epoch, [([(0, 1)], ROOT)])
            return
        for next_epoch in range(max(1, said + 1, self.epoch), epoch + 1):
            self.say(data, receiver, next_epoch)

    def say(self, data: st.DataObject, receiver: int, epoch: int) -> None:
        numbers = st.integers(0, max(0, self.sent - 1))
        held = data.draw(st.lists(st.tuples(numbers, st.sampled_from(PATHS)), max_size=4))
        held = held if self.sent else []
        last = self.recovery.fenced(receiver, epoch, [([(n, n + 1)], path) for n, path in held])
        self.said[receiver] = epoch, held
        if epoch == self.epoch and receiver in self.waits_for:
            self.waits_for.discard(receiver)
            assert last == (not self.waits_for)
            self.begin_if_all_have_spoken()
        else:
            assert not last

    def begin_if_all_have_spoken(self) -> None:
        if self.waits_for:
            return
        self.held = {}
        for epoch, held in self.said.values():
            for number, path in held if epoch == self.epoch else ():
                self.held.setdefault(number, set()).add(path)
        self.again_from = 0

    # ------------------------------------------------------------------ what it does
    def open_paths(self, number: int) -> set[Path]:
        assert self.held is not None
        return self.settled[number] | self.held.get(number, set())

    def expected(self) -> list[int]:
        """What nobody has, of what was not yet sent again."""
        return [
            n
            for n in sorted(self.settled)
            if n >= self.again_from and not complete(ROOT, self.open_paths(n))
        ]

    @precondition(lambda self: self.recovery.busy and not self.recovery.paused)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        assert self.held is not None
        expected = self.expected()
        assert self.recovery.items == len(expected)
        part = self.recovery.next()
        if part is None:
            assert not expected
            assert not self.recovery.busy
            return
        assert part.first == expected[0]
        for number in range(part.first, part.stop):
            assert number in expected
            assert part.done == self.open_paths(number)
        stop = data.draw(st.integers(part.first + 1, part.stop))
        self.recovery.sent(stop)
        self.again_from = stop

    @invariant()
    def it_waits_for_just_those_that_have_not_spoken(self) -> None:
        assert self.recovery.paused == bool(self.waits_for)
        if self.recovery.paused:
            assert self.recovery.next() is None
            assert self.recovery.items == 0


TestRecovery = RecoveryMachine.TestCase
TestRecovery.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


@given(st.integers(1, 6), st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5)))
def test_what_is_settled_or_held_is_not_sent_again(count, settled, held) -> None:
    ledger = Ledger(limit_bytes=1000, min_items=10)
    ledger.open(count, 1, "parcel")
    ledger.acknowledge([(n, n + 1) for n in settled if n < count])
    recovery = Recovery(ledger)
    recovery.fence(1, [11])
    assert recovery.paused
    assert recovery.fenced(11, 1, [([(n, n + 1)], ROOT) for n in held])
    again: list[int] = []
    while (part := recovery.next()) is not None:
        assert part.done is not DONE
        again.extend(range(part.first, part.stop))
        recovery.sent(part.stop)
    assert again == [n for n in range(count) if n not in settled and n not in held]
    assert not recovery.busy
