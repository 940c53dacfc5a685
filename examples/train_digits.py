"""Trains four networks on one stream of handwritten digits, loaded and augmented only once.

    pip install -e '.[demo]'
    python examples/train_digits.py

It is what `minipipe demo` does, without its measuring.  `load_and_augment` is a function of a
file's name that returns arrays; `Trainer` is an object with `local_init`, `run` and `local_term`.
"""

import argparse
import tempfile
from pathlib import Path

import minipipe as mp
from minipipe.demo.digits import CHUNK_IMAGES, load_split, write_chunks
from minipipe.demo.functors import MODELS, Trainer, load_and_augment


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=200, help="files to train on")
    parser.add_argument("--workers", type=int, default=2, help="processes that augment")
    options = parser.parse_args()

    digits = load_split()  # the test digits stay as they are
    rows = options.chunks * CHUNK_IMAGES
    with tempfile.TemporaryDirectory() as directory:
        files = write_chunks(digits, Path(directory), options.chunks)

        pline = mp.PipeLine()
        # Cheap things flow out of the one Source: names.
        pline.add(mp.Source(files, name="Files"))
        # The work is shared by several processes; who is free gets the next file.
        pline.add(mp.Transform(load_and_augment, name="Augment"), n_processes=options.workers)
        # Batches of 1024, each drawn at random from the rows of several files.
        pline.add(mp.Rebatch(1024, shuffle=8192, seed=0))
        # Every network gets every batch; at most four wait for it, so memory stays bounded.
        pline.add(
            mp.Broadcast(
                {
                    model.name: mp.Sink(Trainer(model, digits, rows), "Train", buffer_size=4)
                    for model in MODELS
                }
            )
        )
        pline.build()
        pline.run()  # starts it; what the trainers print appears here
        results = pline.close()  # waits for the end; what `local_term` returned

    for model in MODELS:
        print(f"{model.name:18} {results[f'{model.name}/Train'].accuracy:.1%}")


if __name__ == "__main__":
    main()
