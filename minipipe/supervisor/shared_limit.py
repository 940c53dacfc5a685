"""What the arrays of a run in shared memory may come to."""

from __future__ import annotations

import logging

from minipipe.shm import memory_limit_bytes, obstacle

logger = logging.getLogger("minipipe")


def shared_limit_bytes(wanted: int | None) -> int:
    """What was asked for, or a quarter of the memory; 0 where there can be none, said once."""
    why = obstacle()
    if why is None:
        return memory_limit_bytes() // 4 if wanted is None else wanted
    if not _logged:
        _logged.append(why)
        logger.warning("large arrays travel inside messages, which is slower: %s", why)
    return 0


_logged: list[str] = []
