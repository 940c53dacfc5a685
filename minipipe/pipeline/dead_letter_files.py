"""The files of dead letters that a pipeline writes, looked at before it runs."""

from __future__ import annotations

import os
from collections.abc import Iterable

from minipipe.dead_letters.file import check_writable
from minipipe.dead_letters.reading import count_in
from minipipe.dead_letters.source import DeadLetters
from minipipe.errors import BuildError
from minipipe.process.logs import SUMMARY, logger
from minipipe.segments.segment import Segment


def check_dead_letters(pipes: Iterable[Segment]) -> None:
    """Sees that the segments can write what they skip, and not to where it is read from.

    Raises:
        BuildError: they cannot.
    """
    pipes = list(pipes)
    for pipe in pipes:
        path = pipe.dead_letter
        if path is None:
            continue
        for source in pipes:
            if isinstance(source, DeadLetters) and _is_same(path, source.path):
                raise BuildError(
                    f"dead_letter of {pipe.where} is the file that {source.where} reads, so that "
                    f"what fails again would be in it twice: give another one than {path!r}"
                )
        try:
            check_writable(path)
        except OSError as error:
            raise BuildError(
                f"dead_letter of {pipe.where} cannot be written: {path!r}: "
                f"{error.strerror or error}"
            ) from error
        except ValueError as error:
            raise BuildError(f"dead_letter of {pipe.where}: {error}") from error


def tell_letters_of_before(pipes: Iterable[Segment]) -> None:
    """Says of each file that a run may add to how many letters of earlier runs are in it."""
    for path in dict.fromkeys(pipe.dead_letter for pipe in pipes if pipe.dead_letter is not None):
        count = count_in(path)
        if count:
            letters = "1 dead letter" if count == 1 else f"{count} dead letters"
            logger.log(SUMMARY, "what fails is appended to %s of before in %r", letters, path)


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)
