"""One program for one machine and for many: the variables BIND, TOKEN_FILE and KEYS_FILE decide.

python train.py                                          on this machine alone
BIND=tcp://0.0.0.0:7711 TOKEN_FILE=token python train.py others may join, by the token in that file
"""

import os

import numpy as np

import minipipe as mp

CHUNKS = int(os.environ.get("CHUNKS", 64))


def load():
    random = np.random.default_rng(1)
    for _ in range(CHUNKS):
        yield random.normal(size=(256, 64)).astype(np.float32)


def augment(chunk):
    return chunk - chunk.mean(axis=0)


pline = mp.PipeLine(
    [
        mp.Source(load, "load"),
        mp.Transform(augment, "augment", n_processes=int(os.environ.get("WORKERS", 4))),
    ]
)

if __name__ == "__main__":
    pline.run(
        bind=os.environ.get("BIND"),
        token_file=os.environ.get("TOKEN_FILE"),
        keys=os.environ.get("KEYS_FILE"),
    )
    rows = sum(len(batch) for batch in pline)
    print(pline.stats())
    print(f"trained on {rows} rows")
