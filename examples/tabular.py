"""A table that is too large for memory: a CSV file, read and parsed in chunks, fitted in turn.

python examples/tabular.py  # needs scikit-learn
"""

import itertools
import tempfile
from pathlib import Path

import numpy as np

import minipipe as mp

ROWS, CHUNK_ROWS, TEST_ROWS = 20_000, 500, 2_000


def write(path):
    """Writes three measurements and a label in each row."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 3))
    label = x @ [2.0, -1.0, 0.5] + 0.1 * rng.normal(size=ROWS) > 0
    np.savetxt(path, np.column_stack([x, label]), fmt="%.5g", delimiter=",", header="a,b,c,label")


def chunks(path):
    """Yields the lines of the file, some at a time: reading is quick, parsing is not."""
    with open(path) as file:
        next(file)  # the header
        while lines := list(itertools.islice(file, CHUNK_ROWS)):
            yield lines


def parse(lines):
    table = np.loadtxt(lines, delimiter=",")
    return table[:, :-1], table[:, -1].astype(int)


class Fit:
    """Keeps some rows for the test, and learns from the others, chunk by chunk."""

    def local_init(self):
        from sklearn.linear_model import SGDClassifier  # in the worker, where it is needed

        self.model = SGDClassifier(random_state=0)
        self.test, self.rows = [], 0

    def run(self, chunk):
        x, label = chunk
        if len(self.test) * CHUNK_ROWS < TEST_ROWS:
            self.test.append(chunk)
        else:
            self.model.partial_fit(x, label, classes=[0, 1])
            self.rows += len(label)

    def local_term(self):
        x, label = (np.concatenate(part) for part in zip(*self.test, strict=True))
        return {"rows": self.rows, "accuracy": self.model.score(x, label)}


with tempfile.TemporaryDirectory() as directory:
    path = Path(directory, "table.csv")
    write(path)
    pline = mp.PipeLine()
    pline.add(mp.Source(lambda: chunks(path), "read"))
    pline.add(mp.Transform(parse, "parse"), n_processes=2)
    pline.add(mp.Sink(Fit(), "fit"))
    pline.build()
    pline.run()
    result = pline.close()["fit"]
print(f"fitted to {result['rows']} rows, test accuracy {result['accuracy']:.1%}")
