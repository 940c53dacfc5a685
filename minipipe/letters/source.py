"""`DeadLetters`: what was skipped, as a Source."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from minipipe.checks import check_flag
from minipipe.errors import BuildError
from minipipe.kinds import Source
from minipipe.letters.file import check_header, letters_in


class DeadLetters(Source):
    """Yields the items of a file that `dead_letter=` has written, as they came to the functor.

        pline = mp.PipeLine([mp.DeadLetters("bad.letters"), mp.Transform(mended)])

    If the file is cut off, what is whole in it comes first, and then a DeadLetterError (which
    `ignore_exceptions=[mp.DeadLetterError]` makes a warning).

    Args:
        path: the file.
        allow_pickle: whether items may be unpickled that have no form of their own, or whose
            classes were defined in a script: that runs code that the file holds, so only for
            files that you trust.
        name, **options: those of a Source.

    Raises:
        BuildError: there is no such file, or it is another kind of file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        allow_pickle: bool = False,
        name: str = "DeadLetters",
        **options: Any,
    ) -> None:
        where = f"{type(self).__name__} {name!r}"
        allowed = check_flag(allow_pickle, "allow_pickle", where)
        whole_path = os.path.abspath(os.fspath(path))
        try:
            check_header(whole_path)
        except OSError as error:
            raise BuildError(f"{where} cannot read {whole_path!r}: {error.strerror}") from error
        except ValueError as error:
            raise BuildError(f"{where}: {error}") from error
        super().__init__(LettersOf(whole_path, allowed), name, **options)


@dataclass(frozen=True)
class LettersOf:
    """The functor of a DeadLetters."""

    path: str
    allow_pickle: bool

    def __iter__(self) -> Iterator[Any]:
        for letter in letters_in(self.path):
            yield letter.item(allow_pickle=self.allow_pickle)
