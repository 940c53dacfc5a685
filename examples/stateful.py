"""Functors with state: a random walk as a source, a running mean as a sink, their results."""

import random

import minipipe as mp


class Walk:
    """A source: `run` yields the items."""

    def local_init(self, steps, seed):
        self.steps, self.random = steps, random.Random(seed)

    def run(self):
        position = 0.0
        for _ in range(self.steps):
            position += self.random.gauss(0.0, 1.0)
            yield position


class Mean:
    """A sink: what `local_term` returns reaches the caller."""

    def local_init(self):
        self.count, self.sum = 0, 0.0

    def run(self, position):
        self.count += 1
        self.sum += position

    def local_term(self):
        return {"count": self.count, "mean": self.sum / self.count}


pline = mp.PipeLine()
pline.add(mp.Source(Walk(), "walk", init_kwargs={"steps": 1000, "seed": 1}))
pline.add(mp.Sink(Mean(), "mean"))
pline.build()
pline.run()
results = pline.close()
print(f"{results['mean']['count']} steps, mean position {results['mean']['mean']:.3f}")
