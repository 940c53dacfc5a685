"""PyTorch's DataLoader: one worker that loads and transforms, batches made by the data set."""

from __future__ import annotations

from torch.utils.data import DataLoader, IterableDataset
from work import Tally, arguments, arrays, same, version


class Arrays(IterableDataset):
    def __init__(self, size_bytes: int, items: int) -> None:
        self.size_bytes, self.items = size_bytes, items

    def __iter__(self):
        return map(same, arrays(self.size_bytes, self.items))


def main(size_bytes: int, items: int) -> None:
    tally = Tally(size_bytes, items, version("torch"))
    for tensor in DataLoader(Arrays(size_bytes, items), batch_size=None, num_workers=1):
        tally.run(tensor.numpy())
    tally.local_term()


if __name__ == "__main__":
    main(*arguments())
