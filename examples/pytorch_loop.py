"""A training loop in PyTorch: the pipeline makes NumPy batches, the loop makes tensors of them.

python examples/pytorch_loop.py  # needs PyTorch: pip install torch==2.13.0
"""

import sys

import numpy as np

import minipipe as mp

try:
    import torch
except ImportError:
    sys.exit("this example needs PyTorch: pip install torch==2.13.0")


def load(seed):
    """Points of two rings; on a real data set: reads, decodes and augments one file."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, 1000)
    angle = rng.uniform(0, 2 * np.pi, 1000)
    radius = 1.0 + label + 0.2 * rng.normal(size=1000)
    x = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]).astype(np.float32)
    return {"x": x, "label": label}


def tensors(batch):
    """Without a copy: `from_numpy` takes the arrays as they are."""
    return torch.from_numpy(batch["x"]), torch.from_numpy(batch["label"])


pline = mp.PipeLine()
pline.add(mp.Source(range(50), "seeds"))
pline.add(mp.Transform(load, "load"), n_processes=2)
pline.add(mp.Rebatch(128, drop_last=True, shuffle=4000, seed=0))

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(2):
    batches = 0
    for batch in pline:  # a pass; the next loop is the next one
        x, label = tensors(batch)
        loss = torch.nn.functional.cross_entropy(model(x), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        batches += 1
    print(f"epoch {epoch}: {batches} batches, loss {loss.item():.2f}")

with torch.no_grad():
    x, label = tensors(load(seed=1000))  # which no pass has seen
    accuracy = (model(x).argmax(dim=1) == label).float().mean().item()
print(f"test accuracy {accuracy:.1%}")
