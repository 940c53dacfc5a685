"""Items become pickles, for processes of the same machine and user.

By the C pickler alone: if it asked a method of ours for each object (`reducer_override`,
`persistent_id`), that would take longer than all the rest. What is to be pickled in another way
than it says itself is found by its class (`minipipe.codec.reducers`). What would not arrive as it
should (a function of the script, say) is left to `minipipe.codec.pickled`.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from minipipe.codec.beside import Beside
from minipipe.codec.preset import Preset
from minipipe.codec.reducers import PresetGrownError, Reducers, UnsuitedError
from minipipe.process.importing import modules_by_value
from minipipe.shm import SlotHandle

# The pickler writes what has 64 KiB or more apart from the rest, as it is. Smaller chunks than
# this are put together again: a copy costs less than a frame.
_CHUNK_BYTES = 256 * 1024

_STACK_GLOBAL = pickle.STACK_GLOBAL


Pickled: TypeAlias = tuple[bytes, Preset]
"""An item that is pickled, the preamble of the preset in front. (A named tuple takes longer to make
than what is in it takes to be packed.)"""


class PickledParts(NamedTuple):
    """One that is large, or has something large in it."""

    preset: Preset
    known: int
    """How many objects of the preset there were."""
    nodes: list[object]
    """Of what lies beside the pickle."""
    data: list[bytes | int]
    """The pickle, with the preamble, as buffers of a node."""
    frames: list[bytes | memoryview]
    held: list[SlotHandle]
    """For whoever takes the item over to take out."""
    slot_bytes: int


class ItemPickler:
    """Pickles items, one after the other. One thread at a time.

    Args:
        beside: Takes what is large.

    Attributes:
        array_forms: By class, of those that were met: how values travel as arrays.
    """

    def __init__(self, beside: Beside) -> None:
        self._beside = beside
        self._chunks: list[Any] = []
        self._reducers = Reducers(beside)
        self._pickler = pickle.Pickler(_Chunks(self._chunks), 5, buffer_callback=beside.is_in_band)
        self._pickler.dispatch_table = self._reducers
        self._dump = self._pickler.dump
        self.array_forms = self._reducers.array_forms
        self._reset: Callable[[], object] = self._pickler.clear_memo

    def dump(self, item: object) -> tuple[Pickled | PickledParts, int]:
        """Returns the pickle of an item, and its size.

        Raises:
            UnsuitedError: It would not arrive as it should.
            Exception: Whatever the code of its classes raises, and pickle.
        """
        try:
            self._dump(item)
        except PresetGrownError:
            self._dump_again(item)
        except BaseException:
            self._clear()
            raise
        # At once: what the memo holds counts as held by this process, and would be isolated.
        self._reset()
        chunks, preset = self._chunks, self._reducers.preset
        if len(chunks) > 1 or self._beside.is_used:
            return self._in_parts(preset)
        data = chunks.pop()
        if _STACK_GLOBAL in data and _names_what_it_must_not(data):
            raise UnsuitedError
        if preset.preamble:
            data = preset.preamble + data
        return (data, preset), len(data)

    def _preset_memo(self) -> None:
        self._pickler.memo = self._reducers.preset.memo

    def _dump_again(self, item: object) -> None:
        """Pickles an item in which something was met for the first time."""
        self._reset = self._preset_memo
        self._reducers.may_renew = True
        while True:
            self._clear()
            try:
                return self._dump(item)
            except PresetGrownError:
                continue
            except BaseException:
                self._clear()
                raise

    def _in_parts(self, preset: Preset) -> tuple[PickledParts, int]:
        parts = _joined(self._chunks)
        self._chunks.clear()
        if any(map(_names_what_it_must_not, parts)):
            self._beside.clear()
            raise UnsuitedError
        nodes, writer = self._beside.taken()
        if preset.preamble:
            parts[0] = preset.preamble + parts[0]
        data = [writer.buffer(part) for part in parts]
        size = sum(len(part) for part in data if type(part) is bytes)
        size += sum(map(len, writer.frames))
        size += writer.slot_bytes
        about = preset, len(preset.refs)
        return PickledParts(
            *about, nodes, data, writer.frames, writer.held, writer.slot_bytes
        ), size

    def _clear(self) -> None:
        self._chunks.clear()
        self._beside.clear()
        self._reset()


class _Chunks:
    """A file that collects what is written to it, as it is."""

    def __init__(self, chunks: list[Any]) -> None:
        self.write = chunks.append


def _joined(chunks: list[Any]) -> list[bytes]:
    """Returns the parts of a pickle, without those that are small; nobody will change them."""
    found: list[bytes] = []
    small: list[Any] = []
    for chunk in chunks:
        if len(chunk) < _CHUNK_BYTES:
            small.append(chunk)
            continue
        found += [b"".join(small), bytes(chunk)]  # of bytes, that is no copy
        small = []
    return [part for part in [*found, b"".join(small)] if part]


def _names_what_it_must_not(data: bytes) -> bool:
    """Whether a pickle names anything of the script, or of a module that others do not have.

    (pickle names classes without a metaclass, and functions, without asking.)
    """
    if _STACK_GLOBAL not in data:
        return False
    if _MAIN in data:
        return True
    names = modules_by_value()
    return bool(names) and any(_named(name) in data for name in names)


def _named(module: str) -> bytes:
    name = module.encode()
    return pickle.SHORT_BINUNICODE + bytes([len(name)]) + name


_MAIN = _named("__main__")
