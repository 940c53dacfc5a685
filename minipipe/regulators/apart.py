"""Items that are kept for long, apart from what they came with."""

from __future__ import annotations

from typing import Any

import numpy as np

from minipipe.regulators.nested import layer_of
from minipipe.shm import find_slot


def apart(item: Any) -> Any:
    """The item, with copies of arrays that lie beside others in one slot of shared memory.

    The arrays of a message do, so who keeps one keeps them all, until that is noticed
    (`minipipe.shm.kept`).  Who is known to keep many for long better copies at once.

    (Dataclasses and other objects stay as they are: nobody knows how to make another one.)
    """
    if isinstance(item, np.ndarray):
        place = find_slot(item)
        beside_others = place is not None and 2 * item.nbytes < place.held.size_bytes
        return np.array(item, copy=True, order="K") if beside_others else item
    layer = layer_of(item)
    if layer is None or layer.form == "dataclass" or type(item) is not layer.cls:
        return item
    parts = layer.parts(item)
    own = [apart(part) for part in parts]
    if all(one is other for one, other in zip(own, parts, strict=True)):
        return item
    return layer.make(own)
