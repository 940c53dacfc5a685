"""How pip builds MiniPipe: as setuptools does, with mypy at hand where the core can be compiled."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from setuptools.build_meta import *  # noqa: F403
from setuptools.build_meta import get_requires_for_build_wheel as _required

sys.path.insert(0, str(Path(__file__).parent.parent))
import setup as core

sys.path.pop(0)

# mypyc, and what the sources have types of without which mypy takes them to be wrong.
COMPILES = ["mypy>=2", "numpy>=1.26"]


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """What pip puts into the environment that the wheel is made in."""
    required: list[str] = _required(config_settings)
    return [*required, *COMPILES] if core.is_wanted() and core.can_compile() else required
