"""What a run has to say to one worker of an agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minipipe.agent.hosted import Hosted
from minipipe.agent.starting import Zygotes
from minipipe.agent.words import Word
from minipipe.errors import WireFormatError
from minipipe.transport import Buffer


def tell_worker(
    hosted: Hosted, zygotes: Zygotes, word: Word, fields: tuple[Any, ...], frames: Sequence[Buffer]
) -> None:
    """Does what the gateway wants of a worker.

    Raises:
        WireFormatError: it is nothing that an agent does.
    """
    worker = hosted.spec.ident
    match word:
        case Word.ORDERS:
            hosted.order(bytes(frames[0]))
        case Word.HANG_UP:
            hosted.hang_up()
        case Word.TAKEN:
            hosted.taken(fields[1], fields[2])
        case Word.KILL:
            zygotes.kill(worker, call=fields[1], hard=fields[2])
        case Word.ASK_FOR_STACK:
            hosted.page.expect_stack()
            zygotes.ask_for_stack(worker)
        case _:
            raise WireFormatError(f"{word.name} is not for an agent")
