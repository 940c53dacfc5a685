"""What can go wrong with a slot that is another process's."""

from __future__ import annotations

from minipipe.errors import MiniPipeError


class SlotError(MiniPipeError, OSError):
    """This process cannot map a slot, though it is there.

    The item has not been lost, but would not be received at a second try either.
    """

    def __init__(self, pid: int, why: str) -> None:
        super().__init__(pid, why)
        self.pid = pid
        self.why = why

    def __str__(self) -> str:
        return (
            f"an array in the shared memory of process {self.pid} cannot be mapped: {self.why}; "
            "raise this process's limit on open files (ulimit -n) or on address space (ulimit -v)"
        )


class SlotBarredError(SlotError):
    """This process is not let in to a slot, though the process lives that referred to it."""

    def __str__(self) -> str:
        return (
            f"an array in the shared memory of process {self.pid}, which lives, cannot be had: "
            f"{self.why}; one of the two has changed its user, has forbidden to be looked into "
            "(PR_SET_DUMPABLE), or runs in a container that forbids it: run(shared_bytes=0) sends "
            "arrays inside messages"
        )


class SlotLeftBehindError(SlotError):
    """An item of another host came without what lay in a slot there, and will not come again."""

    def __init__(self) -> None:
        super().__init__(0, "the gateway of its host could not map it")

    def __str__(self) -> str:
        return (
            "an item came from another host without an array that lay in shared memory there, as "
            f"{self.why}: what that has logged says why; run(shared_bytes=0) sends arrays inside "
            "messages"
        )
