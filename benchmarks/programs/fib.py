"""The loop of minipipe 0.1.9: Fibonacci numbers over two seeded streams."""

import sys
from multiprocessing import Event

import minipipe as mp

TERMS = int(sys.argv[1])
MODULUS = 10**9 + 7
done = Event()
count = 0


def fib(a, b):
    global count
    count += 1
    if count == TERMS:
        done.set()
    return b, (a + b) % MODULUS


s1, s2 = mp.Stream("s1"), mp.Stream("s2")
s1.q.put(0)
s2.q.put(1)
segment = mp.Transform(fib, "fib", upstreams=[s1, s2], downstreams=[s1, s2])
segment.set_term_flag(done)
psys = mp.PipeSystem([segment])
psys.build("ERROR")
psys.run()
psys.close()
