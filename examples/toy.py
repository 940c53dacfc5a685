"""The first pipeline of the README: a loader, two workers that transform, one that saves."""

import time

import minipipe as mp


def loader():
    for i in range(4):
        time.sleep(0.5)  # reads a file, say
        yield i


def transform(x):
    time.sleep(1.0)  # the expensive part
    return x * x


pline = mp.PipeLine()
pline.add(mp.Source(loader, "load"))
pline.add(mp.Transform(transform, "square"), n_processes=2)
pline.add(mp.Sink(lambda y: print("saved", y), "save"))
pline.build()
pline.run()
pline.close()
