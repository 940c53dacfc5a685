"""The dataset on its way to the workers: pickled for each pass, in memory that all of them share.

Each worker maps that memory privately, and may map it again for the next pass: so it gets the
dataset as the script has it, whatever a worker has changed in its own.
"""

from __future__ import annotations

import sys
from typing import Any

from minipipe.process import main_module
from minipipe.supervisor.functor_memory import SHARED_FROM_BYTES, FunctorMemory
from minipipe.supervisor.installed import installed_for
from minipipe.supervisor.pickling import dump, dump_apart
from minipipe.torch.datasets.orders import Begin


class Payload:
    """What workers load, as it was pickled last."""

    def __init__(self) -> None:
        self._memory: FunctorMemory | None = None
        self._data = b""
        self._main: dict[str, str] = {}
        self._modules: list[str] = []

    def pickle(self, value: object) -> None:
        """Pickles it as it is now.

        Raises:
            Exception: Whatever its classes raise, or pickle: it cannot travel.
        """
        self._main = main_module.about_main()
        self._modules = []
        data, buffers = dump_apart(value, self._modules)
        if not buffers and len(data) < SHARED_FROM_BYTES:
            self._data, self._memory = data, None
            return
        parts = [*buffers, memoryview(data)]
        if self._memory is not None and self._memory.holds(parts):
            return
        self._memory = None  # before there are two of them; workers have their own descriptors
        try:
            self._memory, self._data = FunctorMemory(parts), b""
        except (OSError, AttributeError, MemoryError):
            self._data = dump(value) if buffers else data

    def begin(
        self, pass_: int, base_seed: int | None, restart: int, *, loads: bool
    ) -> tuple[Begin, int | None]:
        """Returns the order that begins a pass, and the descriptor that belongs to it."""
        if not loads:
            return Begin(pass_, base_seed, restart, loads=False), None
        memory = self._memory
        extents = () if memory is None else memory.extents
        order = Begin(
            pass_, base_seed, restart, loads=True, data=self._data, extents=extents, main=self._main
        )
        return order, None if memory is None else memory.fd

    @property
    def names(self) -> tuple[Any, ...]:
        """The installed modules that whoever loads it will import."""
        return tuple(sys.modules[name] for name in installed_for(self._modules))
