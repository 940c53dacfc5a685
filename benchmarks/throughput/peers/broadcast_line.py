"""MiniPipe: one source broadcast to as many trainers as the third argument says."""

from __future__ import annotations

import sys

from work import Tally, arguments, arrays, version

import minipipe as mp


def main(size_bytes: int, items: int, trainers: int) -> None:
    def load():
        yield from arrays(size_bytes, items)

    tallies = [Tally(size_bytes, items, version("minipipe")) for _ in range(trainers)]
    branches = {str(i): mp.Sink(tally, "train") for i, tally in enumerate(tallies)}
    pline = mp.PipeLine([mp.Source(load), mp.Broadcast(branches)])
    pline.build(log_lvl="ERROR")
    pline.run().close()


if __name__ == "__main__":
    main(*arguments(), int(sys.argv[3]))
