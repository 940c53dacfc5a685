"""Grain's DataLoader with one worker process."""

from __future__ import annotations

import grain
from work import Tally, arguments, made_arrays, same, version


class Arrays:
    """A data source with random access; an instance is copied into the worker once."""

    def __init__(self, size_bytes: int, items: int) -> None:
        self.items = items
        self.made = made_arrays(size_bytes)

    def __len__(self) -> int:
        return self.items

    def __getitem__(self, index):
        return self.made[index % len(self.made)]


class Same(grain.transforms.Map):
    def map(self, item):
        return same(item)


def main(size_bytes: int, items: int) -> None:
    tally = Tally(size_bytes, items, version("grain"))
    loader = grain.DataLoader(
        data_source=Arrays(size_bytes, items),
        sampler=grain.samplers.SequentialSampler(items),
        operations=[Same()],
        worker_count=1,
    )
    for item in loader:
        tally.run(item)
    tally.local_term()


if __name__ == "__main__":
    main(*arguments())
