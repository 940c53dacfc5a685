"""Trains a network on handwritten digits that are streamed from files, augmented on the way.

    pip install -e '.[demo]'
    python examples/train_digits.py

It is what `minipipe demo` does, without its measuring.  `load_and_augment` is a function of a
file's name that returns arrays; `Trainer` is an object with `local_init`, `run` and `local_term`.
"""

import argparse
import tempfile
from pathlib import Path

import minipipe as mp
from minipipe.demo.digits import load_split, write_chunks
from minipipe.demo.functors import Trainer, load_and_augment


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=176, help="files to train on")
    parser.add_argument("--workers", type=int, default=2, help="processes that augment")
    options = parser.parse_args()

    digits = load_split()  # the test digits stay as they are
    with tempfile.TemporaryDirectory() as directory:
        files = write_chunks(digits, Path(directory), options.chunks)

        pline = mp.PipeLine()
        # Cheap things flow out of the one Source: names.
        pline.add(mp.Source(files, name="Files"))
        # The work is shared by several processes; who is free gets the next file.
        pline.add(mp.Transform(load_and_augment, name="Augment"), n_processes=options.workers)
        # At most four chunks wait for the trainer, so memory stays bounded.
        pline.add(mp.Sink(Trainer(digits, options.chunks), name="Train"), buffer_size=4)
        pline.build()
        pline.run()  # starts it; what the trainer prints appears here
        results = pline.close()  # waits for the end; what `local_term` returned

    print(f"test accuracy: {results['Train'].accuracy:.1%}")


if __name__ == "__main__":
    main()
