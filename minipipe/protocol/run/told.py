"""What workers and their supervisor tell each other, beside what has a class of its own.

Apart from events: workers need none of these, and to make their classes takes a twentieth of the
time that a zygote needs to start.
"""

from __future__ import annotations

from minipipe.protocol.delivery.paths import Outputs

# A segment, the identity of an item that its workers have died of, and how many of them.
CrashSuspect = tuple[int, int, int, Outputs, int]
Counts = tuple[tuple[int, int, int], ...]  # stream, the other worker, items so far
