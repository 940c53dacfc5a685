"""CUDA as a driver for loaders."""

from __future__ import annotations

from typing import Any

import torch

from minipipe.torch.driver import Event, RefusedError

# cudaHostRegisterReadOnly: without it a mapping that is read-only is refused.
_READ_ONLY = 8


class CudaEvent:
    """An event of CUDA's."""

    __slots__ = ("event",)

    def __init__(self, stream: Any) -> None:
        self.event = torch.cuda.Event()
        self.event.record(stream)

    def done(self) -> bool:
        return bool(self.event.query())

    def wait(self) -> None:
        self.event.synchronize()


class CudaDriver:
    """A GPU of this process's; it makes a context of CUDA's here, which survives no fork.

    Args:
        device: A `torch.device` of type cuda; without an index, the current one.
    """

    def __init__(self, device: Any) -> None:
        index = torch.cuda.current_device() if device.index is None else device.index
        self.device = torch.device("cuda", index)
        self._stream = torch.cuda.Stream(self.device)
        self._runtime = torch.cuda.cudart()

    def register(self, address: int, size_bytes: int) -> None:
        with torch.cuda.device(self.device):
            code = self._runtime.cudaHostRegister(address, size_bytes, _READ_ONLY)
        if int(code) != 0:
            raise RefusedError(f"cudaHostRegister of {size_bytes} bytes: {self._said(code)}")

    def unregister(self, address: int) -> None:
        with torch.cuda.device(self.device):
            code = self._runtime.cudaHostUnregister(address)
        if int(code) != 0:
            self.clear_error()

    def clear_error(self) -> None:
        # torch looks for the last error of the runtime when it launches something, raises it, and
        # with that it is cleared. (cudaGetLastError is not among what `cudart` has.)
        for _ in range(2):
            try:
                torch.zeros(1, device=self.device)
                return
            except RuntimeError:
                continue

    def pinned(self, size_bytes: int) -> Any:
        return torch.empty(size_bytes, dtype=torch.uint8, pin_memory=True)

    def empty(self, size_bytes: int) -> Any:
        # Of the stream of copies: memory that was used there last can be written to at once.
        with torch.cuda.stream(self._stream):
            return torch.empty(size_bytes, dtype=torch.uint8, device=self.device)

    def copy(self, target: Any, source: Any) -> None:
        with torch.cuda.stream(self._stream):
            target.copy_(source, non_blocking=True)

    def record(self) -> CudaEvent:
        return CudaEvent(self._stream)

    def hand_over(self, event: Event, targets: list[Any]) -> None:
        stream = torch.cuda.current_stream(self.device)
        stream.wait_event(event.event)  # type: ignore[attr-defined]
        for target in targets:
            # Else its memory could be written anew, by the next copy, while this stream uses it.
            target.record_stream(stream)

    def moved(self, tensor: Any) -> Any:
        with torch.cuda.device(self.device):
            return tensor.to(self.device)

    def _said(self, code: Any) -> str:
        say = getattr(self._runtime, "cudaGetErrorString", None)
        return f"{code}" if say is None else f"{say(code)} ({code})"
