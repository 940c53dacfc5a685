"""The graph of minipipe 0.1.9: two sources, batches of two, sums, a switch, two sinks."""

import sys

import numpy as np

import minipipe as mp

ITEMS = int(sys.argv[1])


def random_rows(n=10):
    generator = np.random.RandomState(7)
    for _ in range(ITEMS):
        yield generator.rand(n)


def batch(batch_size=2):
    x = yield
    for i in range(len(x) // batch_size):
        yield x[i * batch_size : (i + 1) * batch_size]


def sum_batch(x):
    return float(x.sum())


def split(x):
    return [x, None] if x > 1 else [None, x]


def more_than_1(x):
    assert x > 1


def at_most_1(x):
    assert x <= 1


s1, s2, s3, s4, s5 = (mp.Stream(name) for name in ("s1", "s2", "s3", "s4", "s5"))
psys = mp.PipeSystem(
    [
        mp.Source(random_rows, "source1", downstreams=[s1]),
        mp.Source(random_rows, "source2", downstreams=[s1]),
        mp.Regulator(batch, "batcher", upstreams=[s1], downstreams=[s2]),
        mp.Transform(sum_batch, "sum", upstreams=[s2], downstreams=[s3]),
        mp.Transform(split, "split", upstreams=[s3], downstreams=[s4, s5]),
        mp.Sink(more_than_1, "print_gt_1", upstreams=[s4]),
        mp.Sink(at_most_1, "print_lt_1", upstreams=[s5]),
    ]
)
psys.build("ERROR")
psys.run()
psys.close()
