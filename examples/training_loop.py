"""A training loop of your own, which reads its batches from a pipeline: MiniPipe as a library."""

import numpy as np

import minipipe as mp

rng = np.random.default_rng(0)
true_weights = np.array([2.0, -1.0, 0.5])


def load(seed):
    """One batch; on a real data set: reads one file."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(256, 3))
    return {"x": x, "y": x @ true_weights + 0.01 * rng.normal(size=256)}


def standardize(batch):
    batch["x"] = (batch["x"] - batch["x"].mean(axis=0)) / batch["x"].std(axis=0)
    return batch


pline = mp.PipeLine(
    [
        mp.Source(range(200), "seeds"),
        mp.Transform(load, "load", n_processes=2),
        mp.Transform(standardize, "standardize"),
    ]
)
weights = np.zeros(3)
for epoch in range(2):
    for batch in pline:  # a pass; the next loop is the next pass
        error = batch["x"] @ weights - batch["y"]
        weights -= 0.05 * batch["x"].T @ error / len(error)
    print(f"epoch {epoch}: mean squared error {np.mean(error**2):.4f}")
print("weights", weights.round(1).tolist())
