"""Data-parallel training with DistributedDataParallel: each rank has a pipeline and its shard.

python examples/ddp.py  # starts two ranks, with gloo; needs PyTorch: pip install torch==2.13.0
torchrun --nproc-per-node=2 examples/ddp.py  # the same

On GPUs: init_process_group("nccl"), the model and minipipe.torch.loader on f"cuda:{local_rank}".
"""

import os
import subprocess
import sys

import numpy as np

import minipipe as mp
import minipipe.torch

try:
    import torch
    import torch.distributed as dist
except ImportError:
    sys.exit("this example needs PyTorch: pip install torch==2.13.0")

SAMPLES, BATCH = 10_007, 64


def load(i):
    """A point and its label; on a real data set: reads, decodes and augments one file."""
    rng = np.random.default_rng(i)
    x = rng.normal(size=8).astype(np.float32)
    return {"x": x, "y": x[:1] * 2 - x[1:2]}


def train(rank, world):
    # As many batches for each rank: one that has more would wait for the others for ever.
    batches = SAMPLES // (BATCH * world)
    shard = range(rank, batches * BATCH * world, world)
    pline = mp.PipeLine([mp.Source(shard), mp.Transform(load, batch=BATCH)])
    loader = minipipe.torch.loader(pline)

    torch.manual_seed(0)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen = 0
    for batch in loader:
        loss = torch.nn.functional.mse_loss(model(batch["x"]), batch["y"])
        optimizer.zero_grad()
        loss.backward()  # here the ranks wait for each other
        optimizer.step()
        seen += 1
    weights = model.module.weight.detach().flatten()
    gathered = [torch.zeros_like(weights) for _ in range(world)]
    dist.all_gather(gathered, weights)
    same = all(torch.equal(weights, other) for other in gathered)
    print(f"rank {rank} of {world}: {seen} batches, loss {loss.item():.4f}, same weights: {same}")


if "RANK" not in os.environ:
    here = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    sys.exit(
        subprocess.run([*here, __file__], env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode
    )
dist.init_process_group("gloo")
try:
    train(dist.get_rank(), dist.get_world_size())
finally:
    dist.destroy_process_group()
