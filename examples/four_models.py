"""Four PyTorch models train on one stream of augmented digits; their curves in one picture.

python examples/four_models.py DIRECTORY  # needs torch, scikit-learn and matplotlib

On GPUs: mp.Sink(..., gpus=1), or gpus=[0] for all on one, and minipipe.torch.to_device in its run.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import minipipe as mp

EPOCHS, TEST = 6, 297
RATES = (0.3, 0.1, 0.03, 0.003)
images, labels = load_digits(return_X_y=True)
images = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)


def digits():
    for i in np.random.default_rng(0).permutation(len(images) - TEST):
        yield {"image": images[i], "label": labels[i]}


def augment(sample):
    """Shifts it by up to a pixel; run(seed=...) says by how much, whichever worker does it."""
    dy, dx = mp.rng().integers(-1, 2, size=2)
    return {**sample, "image": np.roll(sample["image"], (dy, dx), (1, 2))}


class Train:
    """Trains a model; its result is the test accuracy after each 20 batches."""

    def __init__(self, rate):
        self.rate, self.batches, self.curve = rate, 0, []

    def local_init(self):
        torch.set_num_threads(1)
        torch.manual_seed(0)
        conv, linear = torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.Linear(16 * 64, 10)
        self.model = torch.nn.Sequential(conv, torch.nn.ReLU(), torch.nn.Flatten(), linear)
        self.optimizer = torch.optim.SGD(self.model.parameters(), self.rate, momentum=0.9)

    def run(self, batch):
        found = self.model(torch.tensor(batch["image"]))
        loss = torch.nn.functional.cross_entropy(found, torch.tensor(batch["label"]))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.batches += 1
        if self.batches % 20 == 0:
            with torch.no_grad():
                found = self.model(torch.tensor(images[-TEST:])).argmax(1)
            self.curve.append(np.mean(found.numpy() == labels[-TEST:]))

    def local_term(self):
        return self.curve


pline = mp.PipeLine([mp.Source(digits, epochs=EPOCHS)])
pline.add(mp.Transform(augment, n_processes=2, batch=32, ordered=True))
pline.add(mp.Broadcast([mp.Sink(Train(rate), f"rate {rate}") for rate in RATES]))
curves = pline.run(seed=0).close()

path = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(), "accuracies.png")
figure = Figure()  # draws into a file: it needs no screen
axes = figure.subplots()
for name, curve in curves.items():
    axes.plot(range(20, 20 * len(curve) + 1, 20), curve, label=name)
    print(f"{name}: {curve[0]:.0%} after 20 batches, {curve[-1]:.0%} after {20 * len(curve)}")
axes.set(xlabel="batch", ylabel="test accuracy")
axes.legend()
figure.savefig(path)
print("plotted in", path)
