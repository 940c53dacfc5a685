"""A graph: two sources on one stream, batches of two rows, and a switch to one of two sinks."""

import numpy as np

import minipipe as mp

BATCH = 2


def january():
    """Yields arrays of any number of rows; on a real data set: one from each file."""
    yield np.array([1, 2, 3, 4])
    yield np.array([5, 60, 7])


def february():
    yield np.array([10, 20, 30, 40])


def batches():
    """Takes an array by `yield`, and passes on any number of pieces."""
    array = yield
    for first in range(0, len(array), BATCH):
        yield array[first : first + BATCH]
    # It has ended, so it begins anew with the next array.


def add_up(batch):
    return int(batch.sum())


def switch(total):
    """One element for each of two streams; None goes nowhere."""
    return [total, None] if total > 10 else [None, total]


class Keep:
    def local_init(self):
        self.totals = []

    def run(self, total):
        self.totals.append(total)

    def local_term(self):
        return sorted(self.totals)  # which source is the faster one is not certain


rows, pieces, totals, large, small = (
    mp.Stream(name) for name in ("rows", "pieces", "totals", "large", "small")
)
psys = mp.PipeSystem(
    [
        mp.Source(january, "january", downstreams=rows),
        mp.Source(february, "february", downstreams=rows),
        mp.Regulator(batches, "batches", upstreams=rows, downstreams=pieces),
        mp.Transform(add_up, "add up", upstreams=pieces, downstreams=totals),
        mp.Transform(switch, "switch", upstreams=totals, downstreams=[large, small]),
        mp.Sink(Keep(), "large", upstreams=large),
        mp.Sink(Keep(), "small", upstreams=small),
    ]
)
psys.build()
psys.run()
results = psys.close()
print("large", results["large"])
print("small", results["small"])
