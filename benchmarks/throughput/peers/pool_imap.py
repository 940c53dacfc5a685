"""multiprocessing.Pool.imap with one process."""

from __future__ import annotations

import multiprocessing
import platform

from work import Tally, arguments, arrays, same


def main(size_bytes: int, items: int) -> None:
    tally = Tally(size_bytes, items, f"Python {platform.python_version()}")
    with multiprocessing.get_context("fork").Pool(1) as pool:
        for item in pool.imap(same, arrays(size_bytes, items)):
            tally.run(item)
        tally.local_term()


if __name__ == "__main__":
    main(*arguments())
