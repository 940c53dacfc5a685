"""The numbers that records go by on the wire, and what each of them may hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from minipipe.stream.forms import Form

Record = TypeVar("Record", bound=NamedTuple)

FORMS: dict[int, Form] = {}  # by the number of the record, which stands for it on the wire
OPS: dict[type[NamedTuple], int] = {}


def record(op: int) -> Callable[[type[Record]], type[Record]]:
    """Makes a class a record that goes by this number, which no other one ever had."""

    def register(cls: type[Record]) -> type[Record]:
        assert op not in FORMS, (op, cls, FORMS[op].cls)
        FORMS[op], OPS[cls] = Form(cls), op
        return cls

    return register


def name_of(record: NamedTuple) -> str:
    """What a record is called in errors."""
    return FORMS[OPS[type(record)]].name
