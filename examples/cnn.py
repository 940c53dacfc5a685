"""A small CNN trained twice on the same batches: through DataLoader, and through MiniPipe.

python examples/cnn.py  # needs PyTorch: pip install torch==2.13.0

On a GPU, put device="cuda" into minipipe.torch.loader and the model there: the batches are then
copied beside the training, straight from the memory that the workers wrote.
"""

import sys
import time

import numpy as np

import minipipe as mp
import minipipe.torch

try:
    import torch
except ImportError:
    sys.exit("this example needs PyTorch: pip install torch==2.13.0")

torch.set_num_threads(1)
WORKERS, BATCH, EPOCHS = 2, 64, 2


class Shapes:
    """Generated images, uint8[3, 32, 32], each with a bar or a cross."""

    def __len__(self):
        return 1600

    def __getitem__(self, i):
        rng = np.random.default_rng(i)
        image = rng.integers(0, 90, (3, 32, 32), dtype=np.uint8)
        is_cross, x, y = rng.integers((2, 18, 18)).tolist()
        image[:, y : y + 12, x + 4 : x + 8] += 100
        if is_cross:
            image[:, y + 4 : y + 8, x : x + 12] += 60
        return {"image": image, "label": is_cross}


def train(batches_of):
    """Trains a new model on the batches of each epoch; returns it."""
    torch.manual_seed(0)
    convolutions = torch.nn.Conv2d(3, 8, 5, stride=2), torch.nn.ReLU(), torch.nn.Conv2d(8, 16, 3)
    head = torch.nn.AdaptiveMaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(64, 2)
    model = torch.nn.Sequential(*convolutions, torch.nn.ReLU(), *head)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for epoch in range(EPOCHS):
        for batch in batches_of(epoch):
            logits = model(batch["image"].float() / 255)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(logits, batch["label"]).backward()
            optimizer.step()
    return model


train_set = Shapes()
orders = [np.random.default_rng(epoch).permutation(1280).tolist() for epoch in range(EPOCHS)]
test = [train_set[i] for i in range(1280, 1600)]
images = torch.from_numpy(np.stack([sample["image"] for sample in test])).float() / 255
labels = torch.tensor([sample["label"] for sample in test])


def data_loader(epoch):
    return torch.utils.data.DataLoader(train_set, BATCH, sampler=orders[epoch], num_workers=WORKERS)


def minipipe_loader(epoch):
    load = mp.Transform(train_set.__getitem__, "load", batch=BATCH, ordered=True)
    pline = mp.PipeLine([mp.Source(orders[epoch])])
    return minipipe.torch.loader(pline.add(load, n_processes=WORKERS))


for name, batches_of in (("DataLoader", data_loader), ("MiniPipe", minipipe_loader)):
    began_s, model = time.monotonic(), train(batches_of)
    took_s = time.monotonic() - began_s
    accuracy = (model(images).argmax(1) == labels).float().mean().item()
    print(f"{name}: accuracy {accuracy:.1%} after {took_s:.1f} s")
