"""Which worker makes which batch, whatever the order in which they answer."""

from hypothesis import given
from hypothesis import strategies as st

from minipipe.torch.datasets.dealing import Dealer, Next


class Course:
    """A pass whose workers answer in a random order, each in its own order of being asked.

    Args:
        batches: What the sampler has; of an iterable dataset, how many each worker's part has.
    """

    def __init__(self, dealer, workers, batches, draws, parts=None):
        self.dealer = dealer
        self.queues = [[] for _ in range(workers)]
        self.left = batches
        self.draws = draws
        self.parts = parts
        self.made_by = {}
        self.delivered = []
        self.most_ahead = 0
        for _ in range(dealer.ahead):
            self.ask()

    def ask(self):
        if self.left == 0:
            return
        self.left -= 1
        dealt = self.dealer.deal()
        if dealt is not None:
            number, worker = dealt
            self.queues[worker].append(number)
            self.made_by[number] = worker

    def answer(self):
        worker = self.draws.choice([w for w, queue in enumerate(self.queues) if queue])
        number = self.queues[worker].pop(0)
        if self.parts is not None:
            if self.parts[worker] == 0:
                self.queues[worker].clear()  # it answers nothing more
                self.dealer.ended(worker, number)
                self.ask()
                return
            self.parts[worker] -= 1
        self.dealer.arrived(number, f"batch {number}")

    def run(self):
        while (what := self.dealer.next()) is not Next.END:
            ahead = sum(map(len, self.queues))
            self.most_ahead = max(self.most_ahead, ahead)
            if what is Next.TAKE:
                number, batch = self.dealer.take()
                assert batch == f"batch {number}"
                self.delivered.append(number)
                self.ask()
            else:
                number, worker = self.dealer.awaited
                assert number in self.queues[worker]
                self.answer()
        return self


sizes = st.integers(1, 4)


@given(sizes, sizes, st.integers(0, 40), st.integers(0, 7), st.randoms(use_true_random=False))
def test_batches_come_in_the_order_of_the_sampler_from_workers_in_turn(
    workers, prefetch, batches, first, draws
):
    dealer = Dealer(workers, prefetch, first=first)

    course = Course(dealer, workers, batches, draws).run()

    assert course.delivered == list(range(first, first + batches))
    assert all(worker == number % workers for number, worker in course.made_by.items())
    assert course.most_ahead <= workers * prefetch
    assert list(dealer.open()) == []


@given(sizes, sizes, st.integers(0, 40), st.randoms(use_true_random=False))
def test_without_an_order_every_batch_comes_once(workers, prefetch, batches, draws):
    dealer = Dealer(workers, prefetch, in_order=False)

    course = Course(dealer, workers, batches, draws).run()

    assert sorted(course.delivered) == list(range(batches))


@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), sizes, st.randoms())
def test_workers_whose_part_has_ended_are_passed_over(parts, prefetch, draws):
    dealer = Dealer(len(parts), prefetch)

    course = Course(dealer, len(parts), -1, draws, list(parts)).run()

    # In turn as long as each has something left, whatever the order of their answers.
    shared = min(parts) * len(parts)
    assert [course.made_by[n] for n in course.delivered][:shared] == [
        n % len(parts) for n in range(shared)
    ]
    for worker, part in enumerate(parts):
        assert sum(course.made_by[number] == worker for number in course.delivered) == part


def test_what_was_asked_for_and_has_not_come_is_known():
    dealer = Dealer(2, 2)
    for _ in range(4):
        dealer.deal()

    dealer.arrived(1, "a batch")
    dealer.ended(0, 0)

    assert list(dealer.open()) == [(3, 1)]
