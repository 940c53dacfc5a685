"""A CNN trained through DataLoader and through MiniPipe's loader: a line is swapped, no more.

Order, batches and augmentations are the same, so is the accuracy.  MiniPipe's workers are no forks
of this process, whose threads they could hang by: their first batch waits until torch is imported
for them, about a second, once; these samples are so quick that this is most of the time.  On a GPU,
say device="cuda" to the loader, and leave pin_memory and `.cuda()` away.

python examples/swap_dataloader.py  # needs PyTorch: pip install torch==2.13.0
"""

import sys
import time

import numpy as np

try:
    import torch
except ImportError:
    sys.exit("this example needs PyTorch: pip install torch==2.13.0")
from torch import nn
from torch.utils.data import DataLoader, Dataset

from minipipe.torch import loader


class Bars(Dataset):
    """Noisy images with a bar that lies or stands; the labels say which."""

    def __len__(self):
        return 2000

    def __getitem__(self, i):
        image = np.random.default_rng(i).normal(0.0, 0.6, (1, 24, 24)).astype(np.float32)
        place, label = 4 + i % 16, i % 2
        if label:
            image[0, place, 4:20] += 2.0
        else:
            image[0, 4:20, place] += 2.0
        return self.augmented(torch.from_numpy(image)), label

    def augmented(self, image):
        """Drawn from the worker's own generator, which either loader seeds alike."""
        image = torch.roll(image, int(torch.randint(-3, 4, ())), dims=2)
        return image.flip(2) if torch.rand(()) < 0.5 else image


def train(batches):
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 5, stride=2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(16 * 3 * 3, 2)),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    began_s, first_s = time.monotonic(), 0.0
    for _ in range(3):
        right = 0
        for images, labels in batches:
            first_s = first_s or time.monotonic() - began_s
            scores = model(images)
            loss = nn.functional.cross_entropy(scores, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            right += int((scores.argmax(1) == labels).sum())
    return right / len(batches.dataset), time.monotonic() - began_s, first_s


torch.set_num_threads(1)  # the same sums, to the last bit
options = {"shuffle": True, "num_workers": 2, "persistent_workers": True}
for name, make in (("DataLoader", DataLoader), ("MiniPipe", loader)):
    batches = make(Bars(), 64, generator=torch.Generator().manual_seed(1), **options)
    accuracy, seconds, first_s = train(batches)
    to_first = f"{first_s:.1f} s of it to the first batch"
    print(f"{name}: {accuracy:.2%} right in the third epoch, {seconds:.1f} s, {to_first}")
