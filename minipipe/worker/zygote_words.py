"""What supervisor and zygote say to each other.

Apart from the zygote itself, which imports all that workers need: a supervisor needs none of it.
"""

from __future__ import annotations

import signal
import struct

from minipipe.worker.stack import STACK_SIGNAL

# what (fork, or a signal), worker id, length of the pickled request that follows
REQUEST = struct.Struct("<cqQ")
FORK, KILL, STACK, HALT, RESUME = b"F", b"K", b"T", b"H", b"C"
# (Windows has neither of the two, and no workers.)
HALT_SIGNAL, RESUME_SIGNAL = getattr(signal, "SIGSTOP", 0), getattr(signal, "SIGCONT", 0)
SIGNALS = {STACK: STACK_SIGNAL, HALT: HALT_SIGNAL, RESUME: RESUME_SIGNAL}
# what (ready, started, refused, ended), worker id, pid or errno or wait status; or IMPORTS (a
# module, from now on) or CANNOT_IMPORT (and why), 0, the length of the text that follows
REPLY = struct.Struct("<cqq")
IMPORTS, CANNOT_IMPORT = b"I", b"P"
