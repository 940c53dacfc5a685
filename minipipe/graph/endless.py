"""Whether a functor in a loop can be seen never to end it."""

from __future__ import annotations

import dis
from types import CodeType

from minipipe.segments.segment import Segment

# What can be made of an item, which is never None, without making None of it.  All else (calls,
# attributes, elements, globals) may give None, or `mp.Sentinel`.  (An element is a BINARY_OP
# since Python 3.14.)
_SAFE: tuple[str, ...] = (
    *("RESUME", "LOAD_FAST", "STORE_FAST", "BINARY_OP", "UNARY", "COMPARE_OP", "CONTAINS_OP"),
    *("BUILD_TUPLE", "BUILD_LIST", "BUILD_MAP", "RETURN_VALUE", "NOP", "CACHE", "COPY", "SWAP"),
    *("POP_TOP", "POP_JUMP", "JUMP", "TO_BOOL", "NOT_TAKEN"),
)


def never_ends(segment: Segment) -> bool:
    """Whether the functor certainly always passes something on.

    A loop ends by itself when nothing goes round in it any more, so a functor that may give
    None (or `mp.Sentinel`), or raise what is ignored, may end it.  What a function gives cannot
    be known in general; but one that merely computes with the item gives neither.
    """
    if segment.kind == "regulator" or segment.ignore_exceptions:
        return False
    functor = segment.functor_obj
    call = functor.run if segment.shape.has_run else functor
    code = getattr(getattr(call, "__func__", call), "__code__", None)
    return isinstance(code, CodeType) and not _may_give_none(code)


def _may_give_none(code: CodeType) -> bool:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_CONST", "RETURN_CONST", "LOAD_SMALL_INT"):
            if instruction.argval is None:
                return True
        elif not instruction.opname.startswith(_SAFE) or instruction.argrepr == "[]":
            return True
    return False
