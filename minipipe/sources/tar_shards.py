"""`TarShards`: samples in tar files, in WebDataset's layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from minipipe.sources.listing import FILES_OPTIONS, Patterns, list_files
from minipipe.sources.parts import PartSource, check_retries, place
from minipipe.sources.storage import File
from minipipe.sources.tar_samples import Sample, samples

if TYPE_CHECKING:
    from typing import Unpack

    from minipipe.segments.signature import PartOptions


class TarShards(PartSource):
    """Yields the samples of tar files, as WebDataset lays them out.

        pline = mp.PipeLine()
        pline.add(mp.TarShards("train-{000..009}.tar", shuffle=True, seed=0), n_processes=2)
        pline.add(mp.Shuffle(1000, seed=0))
        pline.add(mp.Transform(decode, n_processes=8))

    Members that follow each other and have the same name up to its first dot are one sample,
    whose other part is their key: `cat/07.jpg` and `cat/07.cls` are
    {"__key__": "cat/07", "jpg": bytes, "cls": bytes}.  The tar files may be compressed.

    A file that is cut off is a failure (`retries` says what becomes of it), which names the file
    and the member; the samples that are whole before it were yielded.

    Tar files are dealt out as a whole: use many more of them than there are workers and ranks.
    Within a file the order stays; `mp.Shuffle` behind it mixes samples.

    Beside what is named here it takes the options of every Source.

    Args:
        files: a path, a pattern of `glob`, one with braces, or a list of those; or URLs of
            anything that fsspec opens (which needs the extra `files`).
        storage_options: for fsspec's file system, such as {"anon": True}.
        name: shown in errors and statistics.
        shuffle: whether the tar files are read in random order, another one each epoch and pass.
        seed: of that order; None: another one in each run, unless `run(seed=)` was given.
        shard: (rank, world_size), where several processes train: this one reads every
            world_size-th tar file.
        even: "drop" or "repeat": all ranks get equally many; None: some may have one more.
        retries: how often reading is tried again, after 0.25 s, 1 s, 4 s, at errors that may pass.

    Raises:
        OptionError: an option that does not exist, or with an impossible value.
        BuildError: a pattern matches nothing.
        MissingExtraError: a URL, and fsspec is not installed.
        FileReadError: in the run: a file could not be read, or is cut off.
    """

    options = (*PartSource.options, *FILES_OPTIONS)

    def __init__(
        self,
        files: Patterns,
        name: str = "TarShards",
        *,
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
        super().__init__(
            TarReader(list_files(files, where, storage_options, tries)),
            name,
            shuffle=shuffle,
            seed=seed,
            shard=shard,
            even=even,
            retries=tries,
            **options,
        )


@dataclass(frozen=True)
class TarReader:
    """Each tar file is a part."""

    parts: Sequence[File]

    def items(self, part: File, begin: int) -> Iterator[Sample]:
        with part.open() as file:
            yield from islice(samples(file), begin, None)

    def count(self, part: File) -> None:
        return None

    def name(self, part: File) -> tuple[str, str]:
        return part.name, ""
