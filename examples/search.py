"""A search for the best learning rate: four models train and are evaluated, one plot of all.

python examples/search.py DIRECTORY  # needs matplotlib
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import minipipe as mp

RATES = (1.0, 0.3, 0.1, 0.03)
TRUE_WEIGHTS = np.array([2.0, -1.0, 0.5])


def batches():
    rng = np.random.default_rng(0)
    for _ in range(60):
        x = rng.normal(size=(64, 3))
        yield x, x @ TRUE_WEIGHTS + 0.1 * rng.normal(size=64)


class Train:
    """Passes on its weights after each batch."""

    def __init__(self, rate):
        self.rate = rate
        self.weights = np.zeros(3)

    def run(self, batch):
        x, y = batch
        self.weights = self.weights - self.rate * x.T @ (x @ self.weights - y) / len(y)
        return self.weights


def evaluate(weights):
    """The loss on data that no model is trained on."""
    x = np.random.default_rng(1).normal(size=(1000, 3))
    return float(np.mean((x @ weights - x @ TRUE_WEIGHTS) ** 2))


class Collect:
    """Gets a loss from each model, all after the same batch."""

    def __init__(self):
        self.rows = []

    def run(self, *losses):
        self.rows.append(losses)

    def local_term(self):
        return np.array(self.rows)  # float64[batch, model]


data = mp.Stream("data", broadcast=True)  # each of those who take from it gets every batch
segments = [mp.Source(batches, "batches", downstreams=data)]
losses = []
for rate in RATES:
    weights, loss = mp.Stream(), mp.Stream()
    segments.append(mp.Transform(Train(rate), "train", upstreams=data, downstreams=weights))
    segments.append(mp.Transform(evaluate, "evaluate", upstreams=weights, downstreams=loss))
    losses.append(loss)
segments.append(mp.Sink(Collect(), "collect", upstreams=losses))
curves = mp.PipeSystem(segments).run().close()["collect"]

path = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(), "losses.png")
figure = Figure()  # draws into a file: it needs no screen
axes = figure.subplots()
axes.semilogy(curves, label=[f"rate {rate}" for rate in RATES])
axes.set(xlabel="batch", ylabel="loss")
axes.legend()
figure.savefig(path)

for rate, curve in zip(RATES, curves.T, strict=True):
    print(f"rate {rate}: loss {curve[0]:.4f} after 1 batch, {curve[-1]:.4f} after {len(curve)}")
print("plotted in", path)
