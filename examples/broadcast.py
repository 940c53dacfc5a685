"""Four models on one stream: the data is loaded once, and every model gets every batch."""

import numpy as np

import minipipe as mp

TRUE_WEIGHTS = np.array([2.0, -1.0, 0.5])
RATES = (0.3, 0.1, 0.01, 0.001)


def load(seed):
    """One batch; on a real data set: reads and decodes one file."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(256, 3))
    return {"x": x, "y": x @ TRUE_WEIGHTS + 0.1 * rng.normal(size=256)}


class Model:
    """A linear one, trained by gradient descent, in a process of its own."""

    def __init__(self, rate):
        self.rate = rate
        self.weights = np.zeros(3)
        self.batches = 0

    def run(self, batch):
        error = batch["x"] @ self.weights - batch["y"]
        self.weights -= self.rate * batch["x"].T @ error / len(error)
        self.batches += 1

    def local_term(self):
        return {"batches": self.batches, "weights": self.weights}


pline = mp.PipeLine()
pline.add(mp.Source(range(200), "seeds"))
pline.add(mp.Transform(load, "load"), n_processes=2)
pline.add(mp.Broadcast({f"rate={rate}": mp.Sink(Model(rate), "train") for rate in RATES}))
pline.build()
pline.run()
results = pline.close()

for rate in RATES:
    result = results[f"rate={rate}/train"]
    off = np.abs(result["weights"] - TRUE_WEIGHTS).max()
    print(f"rate {rate}: {result['batches']} batches, weights off by {off:.1f}")
