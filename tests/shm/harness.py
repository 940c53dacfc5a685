"""Another process that does as it is told, with a pool and a reader of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np

from minipipe.shm import Lease, OwnedSlot, SlotPool, SlotReader, SlotRef
from tests.conftest import DEADLOCK_S

KIB = 1024
MIB = 1024 * KIB
SIZE = 100_000


class Scene:
    """What a process has: its own slots, borrowed ones, and arrays that it keeps by name."""

    def __init__(self) -> None:
        self.pool = SlotPool(64 * MIB)
        self.reader = SlotReader()
        self.kept: dict[str, Any] = {}

    def close(self) -> None:
        self.kept.clear()
        self.reader.close()
        self.pool.close()


def array_of(lease: Lease, **wanted: Any) -> np.ndarray[Any, Any]:
    """An array over a lease, which from here on only the array counts on."""
    array = lease.array(**{"dtype": np.uint8, "shape": (SIZE,), **wanted})
    lease.release()
    return array


def filled(pool: SlotPool, value: int, size_bytes: int = SIZE) -> OwnedSlot:
    """A slot with that many bytes of this value."""
    slot = pool.take(size_bytes)
    assert slot is not None
    slot.memory[:] = bytes([value]) * size_bytes
    return slot


def borrowed(scene: Scene, value: int = 7) -> Lease:
    """A lease on a slot that this same process owns."""
    slot = filled(scene.pool, value)
    lease = scene.reader.borrow(slot.reference())
    assert lease is not None
    return lease


# ------------------------------------------------------------------ what it can be told
def keep(scene: Scene, ref: SlotRef, name: str, **wanted: Any) -> Any:
    """Borrows a slot and keeps an array over it; its first element, or None if too late."""
    lease = scene.reader.borrow(ref)
    if lease is None:
        return None
    scene.kept[name] = array_of(lease, **wanted)
    return scene.kept[name].flat[0].item()


def keep_part(scene: Scene, name: str, of: str) -> None:
    """Keeps a view of a view, and no longer what it is a view of."""
    scene.kept[name] = scene.kept.pop(of)[10:].reshape(-1, 10)[::-2].T.view(np.int8)


def drop(scene: Scene, name: str) -> None:
    del scene.kept[name]
    scene.reader.drain()


def content(scene: Scene, name: str) -> bytes:
    found: bytes = scene.kept[name].tobytes()
    return found


def write(scene: Scene, name: str, value: int) -> None:
    scene.kept[name][...] = value


def pass_on(scene: Scene, ref: SlotRef) -> SlotRef:
    """Borrows a slot, and refers to it through this process."""
    lease = scene.reader.borrow(ref)
    assert lease is not None
    scene.kept["passed on"] = lease
    return lease.reference()


def produce(scene: Scene, value: int) -> SlotRef:
    scene.kept["produced"] = slot = filled(scene.pool, value)
    return slot.reference()


class Neighbour:
    """A forked process; it ends when told, or is killed."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self._pipe), daemon=True)
        self.process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def do(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What `work` returned over there."""
        self._pipe.send((work, args, kwargs))
        assert self._pipe.poll(DEADLOCK_S), f"{work.__name__} hangs"
        return self._pipe.recv()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.process.join()  # with a time limit it would wait for its children as well

    def close(self) -> None:
        if self.process.is_alive():
            self._pipe.send(None)
        self._pipe.close()
        self.process.join(DEADLOCK_S)
        self.process.close()


def _serve(pipe: Any, theirs: Any) -> None:
    theirs.close()
    scene = Scene()
    while (order := pipe.recv()) is not None:
        work, args, kwargs = order
        pipe.send(work(scene, *args, **kwargs))
    scene.close()
