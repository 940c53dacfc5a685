"""Values of libraries that came as arrays, and are made over their memory: tensors of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minipipe.codec import classes, wire
from minipipe.codec.nodes import NodeReader, ReadContext, ReadNode
from minipipe.errors import WireFormatError


def over_arrays(context: ReadContext, name: Any, read: Callable[[], list[Any]]) -> list[Any]:
    """Returns the values over the arrays that `read` returns.

    They know no memory that may not be written to. Where arrays would see what others see, too,
    these values are over private mappings, or copies if they are small.

    Args:
        context: With that it reads.
        name: Of what makes a value.
        read: With another access than is asked for.
    """
    if not context.allow_pickle or type(name) is not str:
        raise WireFormatError("it names code, which only allow_pickle=True would accept")
    value_over: Any = classes.look_up(name, may_import=True)
    access = context.access
    is_own = access in ("write", "own")
    try:
        context.access = "own" if is_own else "private"
        arrays = read()
    finally:
        context.access = access
    return [value_over(one if one.flags.writeable else one.copy()) for one in arrays]


def _read(reader: NodeReader, node: list[Any]) -> object:
    _, name, array = node
    (value,) = over_arrays(reader.context, name, lambda: [reader.node(array)])
    return value


READERS: dict[int, ReadNode] = {wire.OVER: _read}
