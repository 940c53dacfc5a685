"""Images in tar shards, as WebDataset writes them: read by two workers, decoded, mixed, in batches.

python examples/tar_shards.py  # needs Pillow, which matplotlib brings
"""

import io
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import minipipe as mp

SHARDS, IMAGES, SIDE = 6, 50, 32


def write(folder):
    """Each class has a hue of its own."""
    rng = np.random.default_rng(0)
    for number in range(SHARDS):
        with tarfile.open(folder / f"train-{number:03d}.tar", "w") as tar:
            for i in range(IMAGES):
                label = int(rng.integers(3))
                image = rng.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
                image[:, :, label] += 150
                file = io.BytesIO()
                Image.fromarray(image).save(file, "JPEG")
                add(tar, f"{number:03d}/{i:04d}.jpg", file.getvalue())
                add(tar, f"{number:03d}/{i:04d}.cls", str(label).encode())


def add(tar, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def decode(sample):
    """{"__key__": ..., "jpg": bytes, "cls": bytes} becomes an image and its label."""
    image = np.asarray(Image.open(io.BytesIO(sample["jpg"])))
    return {"image": image, "label": int(sample["cls"])}


def main():
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        # On S3 it is "s3://bucket/train-{000..005}.tar" (extra `files`, and s3fs).
        shards = mp.TarShards(f"{folder}/train-{{000..005}}.tar", shuffle=True, seed=0)
        pline = mp.PipeLine()
        pline.add(shards, n_processes=2)
        pline.add(mp.Shuffle(100, seed=0))
        pline.add(mp.Transform(decode, n_processes=2, batch=32))
        for epoch in range(2):
            images = right = 0
            for batch in pline:
                guess = batch["image"].mean((1, 2)).argmax(1)
                right += int((guess == batch["label"]).sum())
                images += len(guess)
            shape = batch["image"].shape[1:]
            print(f"epoch {epoch}: {images} images of {shape}, {100 * right / images:.1f}% right")


if __name__ == "__main__":
    main()
