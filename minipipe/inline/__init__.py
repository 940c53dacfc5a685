"""The same pipeline in the caller's process and thread: depth first, no ZeroMQ, no pickling.

For pdb, coverage and tests of functors; also the serial baseline, and the reference that the
tests of the real thing compare with.
"""

from __future__ import annotations

from minipipe.inline.flow import PAUSE
from minipipe.inline.run import InlineRun

__all__ = ["PAUSE", "InlineRun"]
