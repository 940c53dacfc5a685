"""Items on their way to a device: copied beside what is computed there, straight from slots."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np
import torch

from minipipe.process import gpu_copies
from minipipe.shm.handle import SlotHandle
from minipipe.shm.lease import Lease
from minipipe.shm.locate import find_slot
from minipipe.torch.driver import Driver, Event
from minipipe.torch.layout import Laid, host_bytes, laid, tensor_over
from minipipe.torch.nested import leaves, replaced
from minipipe.torch.packing import packed
from minipipe.torch.registrations import Registration, Registrations
from minipipe.torch.ring import Ring
from minipipe.torch.tensors import is_array

PINNED_BYTES = 4 << 30
TEND_S = 1.0


class Upload:
    """An item whose copies have begun.

    Attributes:
        item: With tensors on the device in the place of arrays; for `Uploads.finished` only.
    """

    __slots__ = ("buffers", "event", "held", "item", "keeps", "registrations", "targets")

    def __init__(self) -> None:
        self.item: Any = None
        self.event: Event | None = None
        # What the copies read from, until they are done.
        self.keeps: list[Any] = []
        self.held: list[SlotHandle] = []
        self.registrations: list[Registration] = []
        self.buffers: list[Any] = []
        self.targets: list[Any] = []


class Uploads:
    """All copies of one process to one device, in the order in which they were begun.

    Args:
        driver: The device's.
        most: How many may be under way; the next one waits for the oldest.
        pinned_bytes: How much memory of slots may be registered with the driver.
    """

    def __init__(self, driver: Driver, most: int = 4, pinned_bytes: int | None = None) -> None:
        self._driver = driver
        self.most = most
        self._registrations = Registrations(
            driver, PINNED_BYTES if pinned_bytes is None else pinned_bytes
        )
        self._ring = Ring(driver, most)
        self._under_way: deque[Upload] = deque()
        self._tend_at_s = 0.0

    @property
    def registered_bytes(self) -> int:
        """How much of slots is registered with the driver now."""
        return self._registrations.budget.used_bytes

    def begin(self, item: Any) -> Upload:
        """Begins to copy all arrays and tensors of an item; does not wait for that.

        Whoever has the item must not write to it any more.

        Raises:
            TensorError: No tensor can be made of an array.
        """
        now_s = time.monotonic()
        self.poll(now_s)
        if len(self._under_way) >= self.most:
            self._wait()
        found = [(value, laid(value, at)) for at, value in leaves(item, _is_data)]
        upload = Upload()
        try:
            others = {id(v): self._moved(v) for v, bytes_ in found if bytes_ is None}
            plain = [(value, bytes_) for value, bytes_ in found if bytes_ is not None]
            tensors = self._copied([bytes_ for _, bytes_ in plain], upload, now_s)
            others |= {id(v): tensor for (v, _), tensor in zip(plain, tensors, strict=True)}
            upload.item = others[id(item)] if id(item) in others else replaced(item, others)
            upload.event = self._driver.record()
        except BaseException:
            # Copies that have begun go on, and may not lose what they read from.
            upload.event = self._driver.record()
            self._under_way.append(upload)
            raise
        self._under_way.append(upload)
        return upload

    def finished(self, upload: Upload) -> Any:
        """Returns the item on the device, for the stream that this thread computes on.

        Its copies may still be under way: that stream waits for them, and not the thread.
        """
        event = upload.event
        assert event is not None
        self._driver.hand_over(event, upload.targets)
        upload.targets = []
        item, upload.item = upload.item, None
        return item

    def poll(self, now_s: float | None = None) -> None:
        """Gives back what copies that are done have read from; never waits."""
        while self._under_way:
            event = self._under_way[0].event
            if event is not None and not event.done():
                break
            self._let_go(self._under_way.popleft())
        now_s = time.monotonic() if now_s is None else now_s
        if now_s >= self._tend_at_s:
            self._tend_at_s = now_s + TEND_S
            self._registrations.tend(now_s)

    def close(self) -> None:
        """Waits for all copies, and lets go of what is pinned."""
        while self._under_way:
            self._wait()
        self._registrations.close()
        self._ring.clear()

    # ------------------------------------------------------------------
    def _moved(self, value: Any) -> Any:
        if _is_there(value):
            return value
        with _Staging():
            return self._driver.moved(value)

    def _copied(self, arrays: list[Laid], upload: Upload, now_s: float) -> list[Any]:
        plan = packed([array.size_bytes for array in arrays])
        tensors: list[Any] = [None] * len(arrays)
        if plan.together:
            buffer = self._buffer(plan.together_bytes, upload)
            memory = buffer.numpy()
            with _Staging():
                for place, begin in plan.together:
                    array = arrays[place]
                    memory[begin : begin + array.size_bytes] = _bytes_at(array)
            target = self._copy(buffer[: plan.together_bytes], upload)
            for place, begin in plan.together:
                tensors[place] = tensor_over(target, begin, arrays[place])
        for place in plan.alone:
            array = arrays[place]
            target = self._copy(self._source(array, upload, now_s), upload)
            tensors[place] = tensor_over(target, 0, array)
        for place, array in enumerate(arrays):
            if not array.size_bytes:
                empty = self._driver.empty(0)
                tensors[place] = tensor_over(empty, 0, array)
        return tensors

    def _copy(self, source: Any, upload: Upload) -> Any:
        target = self._driver.empty(len(source))
        upload.targets.append(target)
        self._driver.copy(target, source)
        return target

    def _source(self, array: Laid, upload: Upload, now_s: float) -> Any:
        """Returns the bytes of an array in pinned memory, which stays until the upload is done."""
        place = find_slot(_bytes_of(array))
        held = None if place is None else place.held
        # (What this process lends itself may be written to by its functor, while it is copied.)
        if place is not None and isinstance(held, Lease):
            # Counted on for the copy, so that nothing that lies there is put elsewhere either.
            held.retain()
            if not held.is_isolated:
                registration = self._registrations.borrow(held, now_s)
                if registration is not None:
                    upload.held.append(held)
                    upload.keeps.append(array.owner)
                    upload.registrations.append(registration)
                    return host_bytes(registration.address + place.offset, array.size_bytes)
            held.release()
        buffer = self._buffer(array.size_bytes, upload)
        with _Staging():
            buffer.numpy()[: array.size_bytes] = _bytes_at(array)
        return buffer[: array.size_bytes]

    def _buffer(self, size_bytes: int, upload: Upload) -> Any:
        buffer = self._ring.take(size_bytes)
        upload.buffers.append(buffer)
        return buffer

    def _wait(self) -> None:
        upload = self._under_way[0]
        if upload.event is not None:
            upload.event.wait()
        self._under_way.popleft()
        self._let_go(upload)

    def _let_go(self, upload: Upload) -> None:
        for registration in upload.registrations:
            self._registrations.give_back(registration)
        for buffer in upload.buffers:
            self._ring.give_back(buffer)
        for held in upload.held:
            held.release()
        upload.registrations, upload.buffers, upload.held, upload.keeps = [], [], [], []


class _Staging:
    """Counts how long arrays are copied by this thread that no GPU copies from where they are."""

    __slots__ = ("_began_ns",)

    def __enter__(self) -> None:
        self._began_ns = time.monotonic_ns()

    def __exit__(self, *_: object) -> None:
        gpu_copies.staged(time.monotonic_ns() - self._began_ns)


def _is_data(value: Any) -> bool:
    return is_array(value) or isinstance(value, torch.Tensor)


def _is_there(value: Any) -> bool:
    return bool(value.device.type != "cpu")


def _bytes_at(array: Laid) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(host_bytes(array.address, array.size_bytes).numpy())


def _bytes_of(array: Laid) -> Any:
    """The bytes as an array whose base says whose memory it is over, where that is known."""
    owner = array.owner
    if isinstance(owner, np.ndarray):
        flat = owner.reshape(-1, order="A") if owner.flags.forc else None
        if flat is not None and (flat.base is not None or flat is owner):
            return flat
    return host_bytes(array.address, array.size_bytes).numpy()
