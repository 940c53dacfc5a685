"""memcpy: NumPy's copyto in one thread, warm.  The limit: nothing comes, so nothing is touched."""

from __future__ import annotations

import numpy as np
from work import Tally, arguments, arrays, made_arrays, version


def main(size_bytes: int, items: int) -> None:
    # As many targets as sources: what a consumer still reads cannot be written over.
    targets = made_arrays(size_bytes)
    tally = Tally(size_bytes, items, version("numpy"))
    for i, item in enumerate(arrays(size_bytes, items)):
        np.copyto(targets[i % len(targets)], item)
        if i == 0:
            tally.begin()
    tally.end()
    tally.report()


if __name__ == "__main__":
    main(*arguments())
