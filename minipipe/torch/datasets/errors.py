"""Errors of the loader of a dataset."""

from __future__ import annotations

from minipipe.errors import MiniPipeError


class LoaderTimeoutError(MiniPipeError, TimeoutError, RuntimeError):
    """No batch came within `timeout` seconds; the workers were stopped.

    (DataLoader raises a RuntimeError.)

    Args:
        timeout_s: The limit.
        batch: What was waited for, in words.
        worker: Who was to make it.
    """

    def __init__(self, timeout_s: float, batch: str, worker: int) -> None:
        super().__init__(timeout_s, batch, worker)
        self.timeout_s = timeout_s
        self.batch = batch
        self.worker = worker

    def __str__(self) -> str:
        return (
            f"no batch came within {self.timeout_s:g} s (timeout={self.timeout_s:g}): the loop "
            f"waits for {self.batch}, which worker {self.worker} has to make; the workers were "
            "stopped"
        )
