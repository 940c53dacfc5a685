"""Items in words: by their number, and by the name of the worker that has numbered them."""

from __future__ import annotations

from collections.abc import Mapping

from minipipe.protocol.delivery.numbering import in_words
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
    which = f"item {in_words(number)}"
    return f"{which} of {handle.name!r}{at}" if handle else f"{which}{at}"


def item_in(
    handles: Handles, handle: WorkerHandle, signs: VitalSigns, *, alone_to_blame: bool = False
) -> str:
    """The item that a worker's functor was at when it showed these signs, in words.

    Args:
        alone_to_blame: those that were under way at the same time have nothing to do with it.
    """
    origin = handle.ident if handle.member.is_source else signs.origin
    others = f" (and {len(signs.beside)} others)" if signs.beside and not alone_to_blame else ""
    return item_of(handles, origin, signs.number, signs.outputs) + others
