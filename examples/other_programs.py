"""Two programs that know nothing of MiniPipe at the ends of a pipeline: a sensor, and a monitor.

They have ZeroMQ, msgpack and msgpack-numpy, and could be in any language.

python examples/other_programs.py
"""

import subprocess
import sys
import tempfile

import numpy as np

import minipipe as mp

SENSOR = """
import sys, msgpack, msgpack_numpy, numpy as np, zmq

with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
    socket.connect(sys.argv[1])
    for number in range(200):
        signal = np.sin(np.arange(4096) * (number % 7 + 1) * 2 * np.pi / 4096)
        message = {"number": number, "signal": signal}
        socket.send(msgpack.packb(message, default=msgpack_numpy.encode))
    socket.send(b"\\x91")                          # a list of one, cut off: it will be refused
    socket.send(msgpack.packb("END"))
"""

MONITOR = """
import sys, msgpack, zmq

counts = {}
with zmq.Context() as context, context.socket(zmq.PULL) as socket:
    socket.connect(sys.argv[1])
    while (found := msgpack.unpackb(socket.recv())) is not None:
        counts[found["frequency"]] = counts.get(found["frequency"], 0) + 1
print("the monitor has seen", dict(sorted(counts.items())), flush=True)
"""


def program(text, address):
    return subprocess.Popen([sys.executable, "-c", text, address])


def spectrum(message):
    power = np.abs(np.fft.rfft(message["signal"]))
    return {"number": message["number"], "frequency": int(power.argmax())}


def main():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a socket's path has 107 bytes at most
        signals, found = f"ipc://{folder}/signals", f"ipc://{folder}/found"
        programs = [program(SENSOR, signals), program(MONITOR, found)]
        source = mp.ZmqSource(
            signals, "signals", bind=True, ends=mp.Ends(item="END"), max_failures=1
        )
        pline = mp.PipeLine([source])
        pline.add(mp.Transform(spectrum, n_processes=2))
        pline.add(mp.ZmqSink(found, "found", bind=True, end=None))
        pline.run().close()
        for process in programs:
            process.wait()
        counts = pline.stats()["signals"]
        print(f"{counts.items_out} signals, {counts.dropped} refused")


if __name__ == "__main__":
    main()
