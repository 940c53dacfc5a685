"""The main job: train on handwritten digits that are streamed from disk, and measure it.

`minipipe demo`, `python -m minipipe demo` or `make demo`; needs scikit-learn.
"""

from __future__ import annotations

from minipipe.demo.job import main

__all__ = ["main"]
