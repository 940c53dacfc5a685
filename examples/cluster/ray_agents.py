"""The same on a cluster of Ray: python ray_agents.py (extra ray), on a node of it."""

import ray
from train import pline

import minipipe.ray

if __name__ == "__main__":
    ray.init("auto")
    pline.run(bind="tcp://0.0.0.0:0")
    with minipipe.ray.agents(pline, n=2, num_cpus=2):
        rows = sum(len(batch) for batch in pline)
    print(pline.stats())
    print(f"trained on {rows} rows")
