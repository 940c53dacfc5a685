"""Whose a frame of a traceback is."""

from __future__ import annotations

from types import FrameType


def is_of(package: str, frame: FrameType) -> bool:
    """Whether a frame runs code of this package.

    By the module's name: a compiled function has a file name that is relative to who knows what.
    """
    name = frame.f_globals.get("__name__")
    return isinstance(name, str) and (name == package or name.startswith(f"{package}."))
