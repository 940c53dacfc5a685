"""What a DataLoader with workers does: samples by index, put into batches by those who make them.

python examples/from_dataloader.py
"""

import random

import numpy as np

import minipipe as mp


class Shapes:
    """A map-style dataset, as for DataLoader: images with a bright square, and where it is."""

    def __len__(self):
        return 1000

    def __getitem__(self, i):
        rng = np.random.default_rng(i)
        x, y = rng.integers(0, 24, 2)
        image = rng.random((32, 32), dtype=np.float32) * 0.3
        image[y : y + 8, x : x + 8] += 0.7
        if i == 500:
            raise OSError(f"image {i} is broken")
        return {"image": flipped(image), "index": i}


def flipped(image):
    """Augmentation: what is drawn belongs to the item, whichever worker has it."""
    return image[:, ::-1] if mp.rng().random() < 0.5 else image


dataset = Shapes()


def order():
    """Shuffled anew for each pass."""
    return random.sample(range(len(dataset)), len(dataset))


pline = mp.PipeLine([mp.Source(order, "order")])
pline.add(mp.Transform(dataset.__getitem__, "load", batch=64, max_failures=0.01), n_processes=2)
for epoch in range(2):
    seen, brightness = set(), []
    for batch in pline.run(seed=epoch):
        seen.update(batch["index"].tolist())
        brightness.append(batch["image"].mean())
    shape = batch["image"].shape[1:]
    print(f"epoch {epoch}: {len(brightness)} batches of {shape}, {len(seen)} samples")
