"""A loop in the graph: what a segment puts out comes back to it, until it sets a flag."""

import multiprocessing

import minipipe as mp

done = multiprocessing.Event()


def fibonacci(a, b):
    """Takes an item from each of two streams; returns one for each."""
    print(a)
    if b > 50:
        done.set()  # not one item more is taken up
    return b, a + b


smaller, larger = mp.Stream("smaller"), mp.Stream("larger")
smaller.put(0)  # the seeds: nothing else would ever come
larger.put(1)
segment = mp.Transform(
    fibonacci, "fibonacci", upstreams=[smaller, larger], downstreams=[smaller, larger]
)
segment.set_term_flag(done)
psys = mp.PipeSystem([segment])
psys.build()
psys.run()
psys.close()
