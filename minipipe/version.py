"""The one place where the version stands, and what the core of this installation is."""

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Literal

__version__ = "0.2.0"


def core() -> Literal["compiled", "pure"]:
    """Whether the hot modules are compiled here (`setup.py` says which), or Python as written.

    Looks at the files, as an import would.
    """
    beside = Path(__file__).parent / "stream"
    compiled = any((beside / f"node{suffix}").exists() for suffix in EXTENSION_SUFFIXES)
    return "compiled" if compiled else "pure"
