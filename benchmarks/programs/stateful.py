"""The stateful program of minipipe 0.1.9: a random walk, and a moving average of it."""

import random
import sys

import minipipe as mp


class RandomWalk:
    def local_init(self):
        self.value = 0.0

    def run(self):
        for _ in range(int(sys.argv[1])):
            self.value += random.gauss(0.0, 1.0)
            yield self.value


class MovingAverage:
    def local_init(self, alpha):
        self.alpha = alpha
        self.average = 0.0

    def run(self, x):
        self.average = self.alpha * x + (1 - self.alpha) * self.average

    def local_term(self):
        print("average", self.average)


pline = mp.PipeLine()
pline.add(mp.Source(RandomWalk(), "random_walk"))
pline.add(mp.Sink(MovingAverage(), "average", init_kwargs={"alpha": 0.1}))
pline.build("ERROR")
pline.run()
pline.close()
