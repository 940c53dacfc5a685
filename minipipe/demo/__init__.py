"""The main job: four networks train on one stream of digits from disk, measured.

`minipipe demo`, `python -m minipipe demo` or `make demo`; needs scikit-learn.
"""

from __future__ import annotations

from minipipe.demo.job import main

__all__ = ["main"]
