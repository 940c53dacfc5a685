"""MiniPipe, this one and 0.1.9: Source, Transform, Sink."""

from __future__ import annotations

from work import Tally, arguments, arrays, same, version

import minipipe as mp


def main(size_bytes: int, items: int) -> None:
    def source():
        yield from arrays(size_bytes, items)

    pline = mp.PipeLine()
    pline.add(mp.Source(source, "load"))
    pline.add(mp.Transform(same, "same"))
    pline.add(mp.Sink(Tally(size_bytes, items, version("minipipe")), "tally"))
    pline.build("ERROR")
    pline.run()
    pline.close()


if __name__ == "__main__":
    main(*arguments())
