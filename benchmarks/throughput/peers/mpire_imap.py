"""mpire's WorkerPool.imap with one process, its chunks as large as it chooses."""

from __future__ import annotations

from mpire import WorkerPool
from work import Tally, arguments, arrays, same, version


def pack(item):
    return (item,)  # mpire would pass the rows of an array as so many arguments


def main(size_bytes: int, items: int) -> None:
    tally = Tally(size_bytes, items, version("mpire"))
    with WorkerPool(n_jobs=1) as pool:
        for item in pool.imap(same, map(pack, arrays(size_bytes, items)), iterable_len=items):
            tally.run(item)
        tally.local_term()


if __name__ == "__main__":
    main(*arguments())
