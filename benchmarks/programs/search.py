"""The search of minipipe 0.1.9: four models train and are evaluated, all results in one place."""

import sys

import numpy as np

import minipipe as mp

ROUNDS = int(sys.argv[1])


def candidates():
    generator = np.random.RandomState(7)
    for _ in range(ROUNDS):
        x = generator.rand(64, 8)
        yield (x, x, x, x)


def train(x):
    return x, x.mean(axis=0)


def evaluate(trained):
    x, weights = trained
    return float((x @ weights).sum())


def plot(a, b, c, d):
    assert a == b == c == d


first = [mp.Stream(f"a{i}") for i in range(4)]
second = [mp.Stream(f"b{i}") for i in range(4)]
third = [mp.Stream(f"c{i}") for i in range(4)]
pipes = [mp.Source(candidates(), "candidates", downstreams=first)]
for i in range(4):
    pipes.append(mp.Transform(train, "train", upstreams=[first[i]], downstreams=[second[i]]))
    pipes.append(mp.Transform(evaluate, "evaluate", upstreams=[second[i]], downstreams=[third[i]]))
pipes.append(mp.Sink(plot, "plot", upstreams=third))
psys = mp.PipeSystem(pipes)
psys.build("ERROR")
psys.run()
psys.close()
