"""A training loop of your own, which reads its batches from a pipeline: MiniPipe as a library."""

import numpy as np

import minipipe as mp

rng = np.random.default_rng(0)
true_weights = np.array([2.0, -1.0, 0.5])


def load(seed):
    """One batch; on a real data set: reads one file."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(256, 3))
    return {"x": 3 + 10 * x, "y": x @ true_weights + 0.01 * rng.normal(size=256)}


def standardize(batch):
    return {**batch, "x": (batch["x"] - 3) / 10}  # by what is known of all the data


pline = mp.PipeLine(
    [
        mp.Source(range(200), "seeds"),
        mp.Transform(load, "load", n_processes=2),
        mp.Transform(standardize, "standardize"),
    ]
)
weights = np.zeros(3)
for epoch in range(2):
    errors = []
    for batch in pline:  # a pass; the next loop is the next pass
        error = batch["x"] @ weights - batch["y"]
        weights -= 0.05 * batch["x"].T @ error / len(error)
        errors.append(np.mean(error**2))
    print(f"epoch {epoch}: mean squared error {np.mean(errors):.4f}")
print("weights", weights.round(1).tolist())
