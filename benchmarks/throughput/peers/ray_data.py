"""Ray Data on this machine: rows that load, the identity, and iteration in the driver."""

from __future__ import annotations

import logging
import os

import ray
from work import Tally, arguments, made_arrays, same, version


class Load:
    """Makes the arrays once in its actor, then passes them on."""

    def __init__(self, size_bytes: int) -> None:
        self.made = made_arrays(size_bytes)

    def __call__(self, row):
        return {"item": self.made[row["id"] % len(self.made)]}


def main(size_bytes: int, items: int) -> None:
    tally = Tally(size_bytes, items, version("ray"))
    ray.init(
        num_cpus=max(2, os.cpu_count() or 2),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    loaded = ray.data.range(items).map(Load, fn_constructor_args=(size_bytes,), concurrency=1)
    for row in loaded.map(same).iter_rows():
        tally.run(row["item"])
    tally.local_term()
    ray.shutdown()


if __name__ == "__main__":
    main(*arguments())
