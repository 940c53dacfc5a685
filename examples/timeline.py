"""Where the time goes: the same functors one after the other, and side by side, as one picture.

Needs matplotlib (extra `viz`).  The picture at the top of the README is made by this.
"""

import sys
import time

import minipipe as mp

BATCHES = 14


def load():
    for i in range(BATCHES):
        time.sleep(0.06)  # reads from a disk
        yield i


def decode(batch):
    time.sleep(0.17)  # the expensive part
    return batch


def train(batch):
    time.sleep(0.07)  # waits for the GPU


def pipeline():
    pline = mp.PipeLine([mp.Source(load, "load")])
    pline.add(mp.Transform(decode, "decode"), n_processes=3)
    pline.add(mp.Sink(train, "train"))
    return pline


serial = pipeline().build(inline=True)
serial.run(trace=True).close()

parallel = pipeline()
parallel.run(trace=True).close()

path = sys.argv[1] if len(sys.argv) > 1 else "timeline.png"
print("drawn in", mp.compare_timelines(path, {"one process": serial, "MiniPipe": parallel}))
