"""Items in words: by their number, and by the name of the worker that has numbered them."""

from __future__ import annotations

from collections.abc import Mapping

from minipipe.protocol.delivery.paths import Outputs
from minipipe.protocol.run.vital_signs import VitalSigns
from minipipe.supervisor.worker_handle import WorkerHandle

Handles = Mapping[int, WorkerHandle]


def item_of(handles: Handles, origin: int, number: int | None, outputs: Outputs = ()) -> str:
    """An item's identity in words."""
    if number is None:
        return ""
    handle = handles.get(origin)
    at = f", branch {'.'.join(map(str, outputs))}" if outputs else ""
    return f"item {number} of {handle.name!r}{at}" if handle else f"item {number}{at}"


def item_in(handles: Handles, handle: WorkerHandle, signs: VitalSigns) -> str:
    """The item that a worker's functor was at when it showed these signs, in words."""
    origin = handle.ident if handle.member.is_source else signs.origin
    return item_of(handles, origin, signs.number, signs.outputs)
