"""One pass over a dataset by workers, and what becomes of it when they die, or take too long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minipipe.errors import ItemTypeError, WorkerDiedError
from minipipe.process.logs import logger
from minipipe.torch.datasets.deadline import Deadline
from minipipe.torch.datasets.dealing import Dealer, Next
from minipipe.torch.datasets.errors import LoaderTimeoutError
from minipipe.torch.datasets.fetching import Manner, batch_in_words
from minipipe.torch.datasets.orders import Fetch, Kind
from minipipe.torch.datasets.pool import Reserved
from minipipe.torch.datasets.workers import LoaderWorkers

MAX_DEATHS = 3  # of workers, in one pass


class WorkersPass:
    """A pass by workers.

    Args:
        reserved: The workers of this pass.
        indices: What the sampler gives; drawn in the thread that asks for batches.
        dealer: Of this pass.
        skipped: How many batches were delivered before.
        timeout_s: How long a batch may be waited for; 0: for ever.
    """

    def __init__(
        self,
        reserved: Reserved,
        indices: Iterator[Any],
        dealer: Dealer,
        manner: Manner,
        *,
        skipped: int,
        timeout_s: float,
    ) -> None:
        self._reserved = reserved
        self._number = reserved.number
        self._indices = indices
        self._dealer = dealer
        self._manner = manner
        self._orders: dict[int, Fetch] = {}  # what was asked for, until the loop has it
        self._suspects: dict[int, int] = {}  # how many workers died at a batch
        self._deaths = 0
        self._skipped = skipped
        self._timeout_s = timeout_s
        self._deadline: Deadline | None = None
        self._error: Exception | None = None  # of what was received ahead of its turn
        self._is_private = False
        self._workers: LoaderWorkers | None = reserved.begin()
        self._begin_to_wait()
        try:
            for _ in range(dealer.ahead):
                self._ask()
            self._go_past_skipped()
        except BaseException:
            self._give_up()
            raise

    def _begin_to_wait(self) -> None:
        if self._timeout_s and self._workers is not None:
            self._deadline = Deadline(self._timeout_s, self._workers.stop)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._workers is None:
            raise StopIteration
        try:
            _, (kind, content) = self._take()
        except StopIteration:
            self.close()
            raise
        except BaseException:
            self._give_up()
            raise
        if kind == Kind.FAILED:
            raise content.exception(content.doing)
        return content

    def is_ready(self) -> bool:
        try:
            while self._workers is not None and self._dealer.next() is Next.WAIT:
                if not self._workers.has_answer:
                    return False
                self._receive()
        except Exception as error:  # it is raised in its turn
            self._error = error
        return True

    def keep_private(self) -> None:
        self._is_private = True
        if self._workers is not None:
            self._workers.keep_private()

    def _go_past_skipped(self) -> None:
        """Takes in what an iterable dataset goes past."""
        if self._manner.is_iterable:
            for _ in range(self._skipped):
                _, (kind, content) = self._take()
                if kind == Kind.FAILED:
                    raise content.exception(content.doing)

    def _take(self) -> tuple[int, Any]:
        dealer = self._dealer
        if self._error is not None:
            raise self._error
        while True:
            match dealer.next():
                case Next.END:
                    raise StopIteration
                case Next.TAKE:
                    number, answer = dealer.take()
                    del self._orders[number]
                    self._ask()
                    return number, answer
            self._receive()

    def _receive(self) -> None:
        workers = self._workers
        assert workers is not None
        try:
            answer = workers.take(self._deadline)
        except WorkerDiedError as error:
            self._replace(error)
            return
        except ItemTypeError as error:
            error.add_note("minipipe: item[4] is what collate_fn has given for a batch")
            raise
        except TimeoutError:
            raise self._timed_out() from None
        if answer.pass_ != self._number:
            return  # of a pass that was left
        if answer.kind == Kind.ENDED:
            self._dealer.ended(answer.worker, answer.number)
            self._orders.pop(answer.number, None)
            self._ask()
        elif answer.kind == Kind.UNLOADED:
            workers.close()
            self._release()
            self._go_on(self._reserved.begin_inherited())
        else:
            self._dealer.arrived(answer.number, (answer.kind, answer.content))

    def _ask(self) -> None:
        """Asks for a further batch, if there is one; draws from the sampler."""
        try:
            index = next(self._indices)
        except StopIteration:
            return
        dealt = self._dealer.deal()
        if dealt is None:
            return
        number, worker = dealt
        order = Fetch(self._number, number, index, number < self._skipped)
        self._orders[number] = order
        assert self._workers is not None
        self._workers.fetch(worker, order)

    # ---------------------------------------------------------------- what goes wrong
    def _replace(self, error: WorkerDiedError) -> None:
        """A worker is dead, and with it the run: others do what was not finished.

        Raises:
            WorkerDiedError: That cannot be, or has been too often.
        """
        worker = int(error.worker.rpartition("/")[2]) if "/" in error.worker else 0
        assert self._workers is not None
        number = self._workers.at(worker)
        if number is not None and number in self._orders:
            batch = batch_in_words(number, self._orders[number].index, self._manner)
            error.add_note(f"minipipe: the loader's worker {worker} was at {batch}")
        if self._manner.is_iterable:
            error.add_note("minipipe: of an iterable dataset nobody else can go on with its part")
            raise error
        self._deaths += 1
        if number is not None:
            self._suspects[number] = self._suspects.get(number, 0) + 1
            if self._suspects[number] > 1:
                error.add_note("minipipe: a second one has died at this batch")
                raise error
        if self._deaths > MAX_DEATHS:
            error.add_note(f"minipipe: this was death {self._deaths} in one pass")
            raise error
        logger.warning("%s; others do it again (%d)", error.description, self._deaths)
        self._release()
        self._go_on(self._reserved.begin(self._deaths))

    def _go_on(self, workers: LoaderWorkers) -> None:
        """What was asked for, and has not come, these workers make."""
        self._workers = workers
        if self._is_private:
            workers.keep_private()
        self._begin_to_wait()
        for number, worker in self._dealer.open():
            workers.fetch(worker, self._orders[number])

    def _timed_out(self) -> LoaderTimeoutError:
        number, worker = self._dealer.awaited
        batch = batch_in_words(number, self._orders[number].index, self._manner)
        return LoaderTimeoutError(self._timeout_s, batch, worker)

    def _release(self) -> None:
        workers, self._workers = self._workers, None
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.close()
        if workers is not None:
            self._reserved.end(workers)

    def close(self) -> None:
        self._release()

    def _give_up(self) -> None:
        """Ends the workers, too: an order may have been sent by half."""
        if self._workers is not None:
            self._workers.close()
        self._release()

    def __del__(self) -> None:
        if hasattr(self, "_workers"):
            self._release()
