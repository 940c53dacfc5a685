"""Who is compared, on which sizes."""

from __future__ import annotations

from benchmarks.throughput.environments import HINT, OLDER
from benchmarks.throughput.running import Peer

MINIPIPE = Peer("MiniPipe", "minipipe_line")
MEMCPY = Peer("memcpy (one thread: the limit)", "copy_loop")
PYZMQ = Peer("raw pyzmq PUSH/PULL, ipc", "raw_pyzmq")
DATALOADER = Peer("PyTorch DataLoader", "torch_loader", "torch")
IMAP = Peer("multiprocessing.Pool.imap", "pool_imap")
PEERS = (
    MINIPIPE,
    MEMCPY,
    PYZMQ,
    DATALOADER,
    Peer("Grain DataLoader", "grain_loader", "grain"),
    Peer("Ray Data", "ray_data", "ray"),
    IMAP,
    Peer("mpire WorkerPool.imap", "mpire_imap", needs=f"{HINT}, or pip install mpire"),
    Peer("minipipe 0.1.9", "minipipe_line", OLDER),
    Peer("SPDL (threads: copies nothing)", "spdl_pipeline", "spdl"),
)
SIZES = {
    "100 B": 100,
    "16 kB": 16_384,
    "64 kB": 65_536,
    "1 MB": 1_000_000,
    "9.6 MB": 9_600_000,
    "38.5 MB": 38_500_000,
}
