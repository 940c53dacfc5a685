"""`gpus=` of a segment: which GPUs each of its workers sees, as it is declared."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any

from minipipe.errors import OptionError

VARIABLE = "CUDA_VISIBLE_DEVICES"

Gpus = int | Sequence[int | str] | None


def check_gpus(gpus: Any, env: Mapping[str, str], where: str) -> int | tuple[int | str, ...] | None:
    """`gpus` as a number of GPUs for each worker, or as those that all workers see.

    Raises:
        OptionError: it is neither, or `env` says it, too.
    """
    if gpus is None:
        return None
    if VARIABLE in env:
        raise OptionError(
            f"gpus={gpus!r} and env={{{VARIABLE!r}: {env[VARIABLE]!r}}} of {where} say the same "
            "thing twice: leave one of them away"
        )
    number = _whole(gpus)
    if number is not None:
        if number < 0:
            raise _wrong(gpus, where)
        return number
    if isinstance(gpus, str | bytes) or not isinstance(gpus, Sequence):
        raise _wrong(gpus, where)
    found = tuple(_one(gpu, gpus, where) for gpu in gpus)
    if len(set(found)) < len(found):
        raise OptionError(f"gpus of {where} names a GPU twice: {list(found)!r}")
    return found


def _one(gpu: Any, gpus: Any, where: str) -> int | str:
    number = _whole(gpu)
    if number is not None and number >= 0:
        return number
    if isinstance(gpu, str) and re.fullmatch(r"(GPU|MIG)-[\w/.:-]+", gpu):
        return gpu
    raise _wrong(gpus, where)


def _whole(value: Any) -> int | None:
    """`value` as an int, if it is a whole number, also one of NumPy's."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def _wrong(gpus: Any, where: str) -> OptionError:
    return OptionError(
        f"gpus of {where} is how many GPUs each of its workers has (gpus=1), or a list of those "
        'that all of them see (gpus=[0], or the ids of nvidia-smi -L: gpus=["GPU-8f3c..."]), '
        f"got {gpus!r}"
    )
