"""`Files`: paths, or what is in the files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minipipe.segments.options import check_flag
from minipipe.sources.listing import FILES_OPTIONS, Patterns, list_files
from minipipe.sources.parts import PartSource, check_retries, place
from minipipe.sources.storage import File

if TYPE_CHECKING:
    from typing import Unpack

    from minipipe.segments.signature import PartOptions


class Files(PartSource):
    """Yields the path of each file, or, with read=True, (path, bytes).

        pline = mp.PipeLine([mp.Files("images/**/*.jpg", shuffle=True, seed=0)])
        pline.add(mp.Transform(decode, n_processes=8))

    The files are listed once, here.  Each is read once a pass.

    Beside what is named here it takes the options of every Source.

    Args:
        files: a path, a pattern of `glob` (`**` for folders in folders), one with braces
            (`{000..009}`), or a list of those; or URLs of anything that fsspec opens
            (`s3://bucket/images/*.jpg`, which needs the extra `files`, and s3fs).
        read: whether the workers of this Source read them: that is for small files, and several
            workers (n_processes), or a store that is far away.
        storage_options: for fsspec's file system, such as {"anon": True}.
        name: shown in errors and statistics.
        shuffle: whether the files are read in random order, another one each epoch and pass.
        seed: of that order; None: another one in each run, unless `run(seed=)` was given.
        shard: (rank, world_size), where several processes train: this one reads every
            world_size-th file.
        even: "drop" or "repeat": all ranks get equally many; None: some may have one more.
        retries: how often reading is tried again, after 0.25 s, 1 s, 4 s, at errors that may pass.

    Raises:
        OptionError: an option that does not exist, or with an impossible value.
        BuildError: a pattern matches nothing.
        MissingExtraError: a URL, and fsspec is not installed.
        FileReadError: in the run: a file could not be read.
    """

    options = (*PartSource.options, *FILES_OPTIONS, "read")

    def __init__(
        self,
        files: Patterns,
        name: str = "Files",
        *,
        read: bool = False,
        shuffle: bool = False,
        seed: int | None = None,
        shard: tuple[int, int] | None = None,
        even: str | None = None,
        retries: int = 3,
        storage_options: Mapping[str, Any] | None = None,
        **options: Unpack[PartOptions],
    ) -> None:
        where = place(type(self), name)
        tries = check_retries(retries, where)
        reads = check_flag(read, "read", where)
        listed = list_files(files, where, storage_options, tries)
        super().__init__(
            FileReader(listed, reads),
            name,
            shuffle=shuffle,
            seed=seed,
            shard=shard,
            even=even,
            retries=tries,
            **options,
        )


@dataclass(frozen=True)
class FileReader:
    """Each file is a part, and has one item."""

    parts: Sequence[File]
    reads: bool

    def items(self, part: File, begin: int) -> Iterator[str | tuple[str, bytes]]:
        if not self.reads:
            yield part.name
            return
        with part.open() as file:
            content = file.read()
        yield part.name, content

    def count(self, part: File) -> int:
        return 1

    def name(self, part: File) -> tuple[str, str]:
        return part.name, ""
