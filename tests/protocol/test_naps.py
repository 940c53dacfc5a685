"""When a worker naps instead of waking up at each message: where several are to be expected."""

from __future__ import annotations

from collections.abc import Callable

from minipipe.protocol.flow.naps import MOST_PAUSES, NAP_NS, WORTH, Naps

US = 1000
LATENCY_NS = 50 * US  # from a message to the worker that was waiting for it


class Receiver:
    """A worker that waits for messages by a clock of its own.

    Args:
        next_ns: when the message after the one that came then comes, that was taken in now.
    """

    def __init__(self, producers: int, next_ns: Callable[[int, int], int]) -> None:
        self.naps, self.producers, self.next_ns = Naps(), producers, next_ns
        self.now_ns = self.comes_ns = 1
        self.messages = self.waits = self.napped = 0

    def take(self) -> None:
        while self.comes_ns <= self.now_ns:
            self.messages += 1
            self.comes_ns = self.next_ns(self.comes_ns, self.now_ns)

    def wait(self, times: int) -> None:
        for _ in range(times):
            self.waits += 1
            if self.naps.due(self.now_ns, self.messages, self.producers):
                self.napped += 1
                self.now_ns += NAP_NS
                self.take()
                if self.comes_ns > self.now_ns:
                    continue
            self.now_ns = max(self.now_ns, self.comes_ns) + LATENCY_NS
            self.take()


def every(gap_ns: int) -> Callable[[int, int], int]:
    return lambda came_ns, now_ns: came_ns + gap_ns


def test_results_of_many_slow_workers_come_several_at_a_time() -> None:
    receiver = Receiver(16, every(300 * US))
    receiver.wait(1000)
    assert receiver.napped > 900
    assert receiver.messages > 5 * receiver.waits


def test_bursts_of_them_do_not_end_the_naps() -> None:
    """16 workers that were started together send together, and then nothing for a while."""

    def next_ns(came_ns: int, now_ns: int) -> int:
        return came_ns + (100 * US if came_ns // US % 5000 < 1600 else 3400 * US)

    receiver = Receiver(16, next_ns)
    receiver.wait(1000)
    assert receiver.messages > 2.5 * receiver.waits


def test_nobody_naps_for_what_comes_now_and_then() -> None:
    receiver = Receiver(16, every(NAP_NS))
    receiver.wait(1000)
    assert not receiver.napped


def test_nobody_naps_where_one_producer_would_send_more_than_once_meanwhile() -> None:
    """It might run out of credit; and it puts items together by itself, if there are so many."""
    for producers, gap_ns, few in ((1, 300 * US, 0), (2, 300 * US, 0), (16, 20 * US, 16)):
        receiver = Receiver(producers, every(gap_ns))
        receiver.wait(1000)
        # (Until the mean of the gaps is what they are.)
        assert receiver.napped <= few


def test_who_waits_for_an_answer_is_kept_waiting_now_and_then_only() -> None:
    """The next message comes when the last one was taken in, so a nap brings one."""
    receiver = Receiver(16, lambda came_ns, now_ns: now_ns + 200 * US)
    receiver.wait(20 * MOST_PAUSES)
    assert 0 < receiver.napped < 40


def test_a_nap_that_brought_nothing_is_followed_by_a_wait() -> None:
    naps, now_ns, messages = Naps(), 0, 0
    for _ in range(100):
        now_ns, messages = now_ns + 100 * US, messages + 1
        if naps.due(now_ns, messages, 40):
            break
    else:
        raise AssertionError(f"no nap, and {WORTH} messages would have come in the next one")
    assert not naps.due(now_ns + NAP_NS, messages, 40)
