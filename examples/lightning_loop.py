"""A LightningModule trained on a pipeline: what Lightning takes in the place of a DataLoader.

python examples/lightning_loop.py  # needs PyTorch and Lightning: pip install torch lightning

On a GPU: minipipe.torch.loader(train, device="cuda") and accelerator="gpu". With several ranks each
makes a pipeline of its shard, of equally many batches (examples/ddp.py). A Dataset and its sampler:
minipipe.torch.loader(dataset, 64, shuffle=True, num_workers=4).
"""

import logging
import sys

import numpy as np

import minipipe as mp
import minipipe.torch

try:
    import lightning
    import torch
except ImportError:
    sys.exit("this example needs PyTorch and Lightning: pip install torch lightning")
from torch.nn import functional

BATCH, EPOCHS = 32, 2
torch.set_num_threads(1)
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


def load(i):
    """A noisy image with a bar that lies or stands; a real one reads, decodes and augments."""
    image = np.random.default_rng(i).normal(0, 0.9, (1, 16, 16)).astype(np.float32)
    place, label = 3 + i % 11, i % 2
    if label:
        image[0, place, 2:14] += 2
    else:
        image[0, 2:14, place] += 2
    return {"image": image, "label": label}


class Net(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        convolution = torch.nn.Conv2d(1, 8, 5, stride=2), torch.nn.ReLU()
        self.layers = torch.nn.Sequential(
            *convolution, torch.nn.Flatten(), torch.nn.Linear(8 * 36, 2)
        )

    def training_step(self, batch, number):
        return functional.cross_entropy(self.layers(batch["image"]), batch["label"])

    def validation_step(self, batch, number):
        found = self.layers(batch["image"]).argmax(1)
        self.log("right", (found == batch["label"]).float().mean(), batch_size=len(found))

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking:
            right = self.trainer.callback_metrics["right"]
            print(f"epoch {self.current_epoch}: {self.global_step} steps, {right:.1%} right")

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


lightning.seed_everything(0, verbose=False)
# Its workers stay from epoch to epoch: each is a pass.
train = mp.PipeLine([mp.Source(range(1600))], persistent=True)
train.add(mp.Transform(load, n_processes=2, batch=BATCH, ordered=True))
test = mp.PipeLine([mp.Source(range(1600, 2000)), mp.Transform(load, batch=100)])
trainer = lightning.Trainer(
    **{"max_epochs": EPOCHS, "accelerator": "cpu", "logger": False, "enable_checkpointing": False},
    **{"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 1},
)
with train:
    trainer.fit(Net(), minipipe.torch.loader(train), minipipe.torch.loader(test))
