"""One process: load an array, multiply it by 2, look at it.  Two arrays, used again and again."""

from __future__ import annotations

import numpy as np
from work import Tally, arguments, arrays, version


def main(size_bytes: int, items: int) -> None:
    tally = Tally(size_bytes, items, version("numpy"), factor=2)
    loaded, product = (np.zeros(size_bytes, np.uint8) for _ in range(2))
    for item in arrays(size_bytes, items):
        np.copyto(loaded, item)
        np.multiply(loaded, 2, out=product)
        tally.run(product)
    tally.local_term()


if __name__ == "__main__":
    main(*arguments())
