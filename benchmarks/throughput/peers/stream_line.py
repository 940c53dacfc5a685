"""MiniPipe: arrays that are made as they go, more of them than memory should hold."""

from __future__ import annotations

import numpy as np
from work import Tally, arguments, how_many_made, same, version

import minipipe as mp

empty = getattr(mp, "empty", np.empty)


def main(size_bytes: int, items: int) -> None:
    def load():
        for i in range(items):
            item = empty(size_bytes, np.uint8)
            item.fill(i % how_many_made(size_bytes))
            yield item

    tally = Tally(size_bytes, items, version("minipipe"))
    pline = mp.PipeLine([mp.Source(load), mp.Transform(same), mp.Sink(tally)])
    pline.build(log_lvl="ERROR")
    pline.run().close()


if __name__ == "__main__":
    main(*arguments())
