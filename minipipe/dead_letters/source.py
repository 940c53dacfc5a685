"""`DeadLetters`: what was skipped, as a Source."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from minipipe.dead_letters.errors import DamagedError
from minipipe.dead_letters.file import DeadLetterRecord, check_header
from minipipe.dead_letters.reading import check_whole, letters_in
from minipipe.errors import BuildError
from minipipe.protocol.delivery.numbering import pass_of, place_of
from minipipe.protocol.frozen import frozen
from minipipe.segments.kinds import Source
from minipipe.segments.options import check_flag

if TYPE_CHECKING:
    from typing import Unpack

    from minipipe.segments.signature import PartOptions

logger = logging.getLogger("minipipe")


class DeadLetters(Source):
    """Yields the items of a file that `dead_letter=` has written, as they came to the functor.

        pline = mp.PipeLine([mp.DeadLetters("bad.letters"), mp.Transform(mended)])

    What became of them is in its `records()`, without any run:

        for record in mp.DeadLetters("bad.letters").records():
            print(record.item, record.error, record.text)

    Beside what is named here it takes the options of every Source.

    Args:
        path: the file.
        allow_pickle: whether items may be unpickled that have no form of their own, or whose
            classes were defined in a script: that runs code that the file holds, so only for
            files that you trust. What workers on other hosts have sent is never unpickled, unless
            their run had `allow_pickle=True`.
        strict: a file that is cut off or damaged is refused; False: what is whole in it is read,
            with a warning.
        name: shown in errors and statistics.

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
        **options: Unpack[PartOptions],
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
        self.path = whole_path
        self._letters = LettersOf(whole_path, allowed, strict)
        super().__init__(self._letters, name, **options)

    def records(self) -> Iterator[DeadLetter]:
        """Yields what is known of each item that is in the file now.

        Raises:
            DeadLetterError: the file was damaged since (after what is whole).
        """
        for letter in self._letters.letters():
            yield DeadLetter(
                letter.error,
                letter.text,
                letter.trace,
                letter.segment,
                letter.worker,
                datetime.fromtimestamp(letter.time_s).astimezone(),
                letter.origin,
                place_of(letter.number),
                letter,
                self._letters.allow_pickle,
            )


@frozen
class DeadLetter:
    """What is known of an item that was skipped.

    Attributes:
        error: the name of the type of what the functor raised; "PoisonError": workers died of it.
        text: what that said.
        traceback: as text.
        segment: where it failed.
        worker: the name of that segment's worker.
        time: when, in the local time zone.
        source: the segment that had numbered the item.
        number: its number there, from 0 in each pass.
        pass_: the pass that it was of: more than one only in a persistent pipeline.
    """

    error: str
    text: str
    traceback: str = field(repr=False)
    segment: str
    worker: str
    time: datetime
    source: str
    number: int
    _letter: DeadLetterRecord = field(repr=False, compare=False)
    _allow_pickle: bool = field(repr=False, compare=False)

    @property
    def pass_(self) -> int:
        return pass_of(self._letter.number)

    @cached_property
    def item(self) -> Any:
        """The item, as it came to the functor.

        Raises:
            DeadLetterError: it would have to be unpickled, and `allow_pickle` was not given.
        """
        return self._letter.item(allow_pickle=self._allow_pickle)


@frozen
class LettersOf:
    """The functor of a DeadLetters."""

    path: str
    allow_pickle: bool
    strict: bool

    def __iter__(self) -> Iterator[Any]:
        for letter in self.letters():
            yield letter.item(allow_pickle=self.allow_pickle)

    def letters(self) -> Iterator[DeadLetterRecord]:
        """The letters in the file now.

        Raises:
            DamagedError: `strict`, and it is damaged.
        """
        try:
            yield from letters_in(self.path)
        except DamagedError as error:
            if self.strict:
                raise
            logger.warning("%s; those were read", error)
