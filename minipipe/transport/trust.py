"""What a socket accepts beside plain data: it depends on who can reach it, not on what is said."""

from __future__ import annotations

from typing import NamedTuple


class Trust(NamedTuple):
    """What may come in by one inbox, whoever a message says that it is from.

    Attributes:
        code: pickles, and definitions of classes: who sends those may run anything here.
        slots: references to shared memory, which has to be that of this machine.
    """

    code: bool
    slots: bool


LOCAL = Trust(code=True, slots=True)
"""Of what only processes of this user, on this machine, can reach."""
NATIVE = Trust(code=False, slots=True)
"""Of a run over several hosts: nobody but its own workers can reach it, and through them what came
from other hosts, where no code is to come from."""
PLAIN_DATA = Trust(code=False, slots=False)
"""Of what anybody may reach."""
