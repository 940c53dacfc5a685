"""The toy program of minipipe 0.1.9, with its sleeps a tenth as long."""

import sys
from time import sleep

import minipipe as mp


def loader():
    for data in range(int(sys.argv[1])):
        sleep(0.05)
        yield data


def transform(data):
    sleep(0.1)
    return data


def save(data):
    sleep(0.05)
    print("saved", data)


pline = mp.PipeLine()
pline.add(mp.Source(loader, "data_loader"))
pline.add(mp.Transform(transform, "transform"), n_processes=2)
pline.add(mp.Sink(save, "save"))
pline.build("ERROR")
pline.run()
pline.close()
