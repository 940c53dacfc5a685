"""MiniPipe: load an array, multiply it by 2, look at it; both arrays are made by mp.empty."""

from __future__ import annotations

import numpy as np
from work import Tally, arguments, arrays, version

import minipipe as mp

empty = getattr(mp, "empty", np.empty)


def multiply(x):
    return np.multiply(x, 2, out=empty(x.shape, x.dtype))


def copy(item):
    loaded = empty(item.shape, item.dtype)
    np.copyto(loaded, item)
    return loaded


def main(size_bytes: int, items: int) -> None:
    def load():
        for item in arrays(size_bytes, items):
            yield copy(item)  # not kept in a variable, so that it goes as it is

    tally = Tally(size_bytes, items, version("minipipe"), factor=2)
    pline = mp.PipeLine([mp.Source(load), mp.Transform(multiply), mp.Sink(tally)])
    pline.build(log_lvl="ERROR")
    pline.run().close()


if __name__ == "__main__":
    main(*arguments())
