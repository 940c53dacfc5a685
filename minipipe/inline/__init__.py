"""The same pipeline in the caller's process and thread: depth first, no ZeroMQ, no pickling.

For pdb, coverage and tests of functors; also the serial baseline, and the reference that the
tests of the real thing compare with.  What it gives is what processes give: so whatever goes from
one segment to the next is copied (`connections`), and what has no effect here is said
(`differences`).
"""

from __future__ import annotations

from minipipe.inline.differences import tell_differences
from minipipe.inline.flow import PAUSE
from minipipe.inline.run import InlineRun

__all__ = ["PAUSE", "InlineRun", "tell_differences"]
