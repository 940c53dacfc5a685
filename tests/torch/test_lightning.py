"""Lightning trains on what MiniPipe gives, and comes to the same weights as on a DataLoader."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

for name in ("torch", "lightning"):
    if importlib.util.find_spec(name) is None:  # looked for, not imported: both are heavy
        pytest.skip(f"{name} is not installed", allow_module_level=True)

SCRIPT = """
import logging, warnings
import lightning, torch
import minipipe as mp
from minipipe.torch import IterablePipe, loader
from torch.utils.data import DataLoader

warnings.simplefilter("ignore")  # of Lightning's advice to have more workers of DataLoader's
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
torch.set_num_threads(1)

class Line(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        torch.nn.init.zeros_(self.layer.weight)
        torch.nn.init.zeros_(self.layer.bias)

    def training_step(self, batch, number):
        return ((self.layer(batch["x"]) - batch["y"]) ** 2).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

class Points:
    def __len__(self):
        return 40

    def __getitem__(self, i):
        x = torch.tensor([i / 20 - 1])
        return {"x": x, "y": 2 * x + 1}

def trained(batches):
    model = Line()
    lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    ).fit(model, batches)
    return model.layer.weight.item(), model.layer.bias.item(), model.trainer.global_step

points = Points()
# In this process: examples/lightning_loop.py has workers, each of which imports torch once more.
pline = mp.PipeLine([mp.Source(range(40)), mp.Transform(points.__getitem__, batch=8)])
pline.build(inline=True)
found = [
    trained(DataLoader(points, 8)),
    trained(loader(points, 8)),
    trained(loader(pline)),
    trained(DataLoader(IterablePipe(pline), batch_size=None)),
]
assert len(set(found)) == 1, found
print("steps", found[0][2])
"""


def test_a_trainer_comes_to_the_same_weights(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "steps 10\n"
    assert not list(tmp_path.iterdir())
