"""What is said of a run that has no other machines although somebody may think so."""

from __future__ import annotations

from minipipe.process.logs import logger
from minipipe.supervisor.run_options import RunOptions


def note_next_pass(before: RunOptions | None) -> None:
    """Says that a loop begins a run that others cannot join, where the run before could be joined.

    (The second epoch of a training was done by this machine alone, and nothing said so.)

    Args:
        before: the options of the run before; None: there was none.
    """
    if before is not None and before.hosting is not None:
        logger.warning(
            "this pass runs on this machine only: the run that other machines could join was over "
            "at the end of the pass before (PipeLine(..., persistent=True) keeps them between "
            "passes; or call run(bind=...) before each)"
        )
