"""`DeadLetters`: what was skipped, as a Source."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from minipipe.checks import check_flag
from minipipe.errors import BuildError
from minipipe.kinds import Source
from minipipe.letters.errors import DamagedError
from minipipe.letters.file import Letter, check_header, check_whole, letters_in

logger = logging.getLogger("minipipe")


class DeadLetters(Source):
    """Yields the items of a file that `dead_letter=` has written, as they came to the functor.

        pline = mp.PipeLine([mp.DeadLetters("bad.letters"), mp.Transform(mended)])

    Args:
        path: the file.
        allow_pickle: whether items may be unpickled that have no form of their own, or whose
            classes were defined in a script: that runs code that the file holds, so only for
            files that you trust.
        strict: a file that is cut off or damaged is refused; False: what is whole before the damage
            is read, with a warning.
        name, **options: those of a Source.

    Raises:
        BuildError: there is no such file, it is another kind of file, or damaged.
        DeadLetterError: in the run: an item would have to be unpickled, or the file was damaged
            since.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        allow_pickle: bool = False,
        name: str = "DeadLetters",
        *,
        strict: bool = True,
        **options: Any,
    ) -> None:
        where = f"{type(self).__name__} {name!r}"
        allowed = check_flag(allow_pickle, "allow_pickle", where)
        strict = check_flag(strict, "strict", where)
        whole_path = os.path.abspath(os.fspath(path))
        try:
            check_header(whole_path)
            if strict:
                check_whole(whole_path)
        except OSError as error:
            raise BuildError(f"{where} cannot read {whole_path!r}: {error.strerror}") from error
        except ValueError as error:
            raise BuildError(f"{where}: {error}") from error
        super().__init__(LettersOf(whole_path, allowed, strict), name, **options)


@dataclass(frozen=True)
class LettersOf:
    """The functor of a DeadLetters."""

    path: str
    allow_pickle: bool
    strict: bool

    def __iter__(self) -> Iterator[Any]:
        for letter in self._letters():
            yield letter.item(allow_pickle=self.allow_pickle)

    def _letters(self) -> Iterator[Letter]:
        try:
            yield from letters_in(self.path)
        except DamagedError as error:
            if self.strict:
                raise
            logger.warning("%s; those were read", error)
