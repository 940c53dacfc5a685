"""What a segment does with its items, wherever it runs: in a worker process, or inline.

How a functor is called, what a call comes to, what goes to which output, what a join puts
together, and what is skipped.  How items come and go, and who waits for whom, is the runtime's
(`worker`, `inline`).
"""

from __future__ import annotations
