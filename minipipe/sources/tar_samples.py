"""The samples of one tar file, read from its beginning to its end and no faster than needed."""

from __future__ import annotations

import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, TypeAlias

from minipipe.sources.parts import PartError

Sample: TypeAlias = dict[str, str | bytes]

KEY = "__key__"

# As WebDataset does it: up to the first dot of the name in its folder; what has no dot, or begins
# with one, is no part of a sample.
_NAME = re.compile(r"((?:.*/)?[^./]+)\.([^/]*)", re.DOTALL)

# What reading raises that is damaged, as far as it is no OSError.
_DAMAGED = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)


class _Cut(Exception):
    """A header is not there, or is none."""


class _Member(tarfile.TarInfo):
    """Says so if the file ends without an end: tarfile takes that for one in silence."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> _Member:
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise  # the blocks of zeros that an archive ends with
        except tarfile.HeaderError as error:
            raise _Cut(str(error)) from error


def samples(file: IO[bytes]) -> Iterator[Sample]:
    """The samples of an open tar file, which may be compressed.

    Raises:
        PartError: it is cut off or damaged, or one sample has two parts of the same name.
        OSError: it could not be read.
    """
    sample: Sample = {}
    at = "its beginning"
    try:
        with _open(file) as tar:
            while (member := tar.next()) is not None:
                at = f"member {member.name!r}"
                found = _NAME.fullmatch(member.name)
                if found is not None and member.isreg():
                    key, part = found[1], found[2].lower()
                    if sample and sample[KEY] != key:
                        yield sample  # whole, whatever comes of what follows
                        sample = {}
                    if part in sample:
                        raise PartError(at, f"sample {key!r} has a part {part!r} already")
                    sample[KEY] = key
                    sample[part] = _content(tar, member)
                at = f"behind member {member.name!r}"
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
    except _Cut as error:
        raise PartError(at, f"it is cut off, or not closed by who wrote it ({error})") from error
    except _DAMAGED as error:
        why = f"it is cut off or damaged ({type(error).__name__}: {error})"
        raise PartError(at, why) from error
    if sample:
        yield sample


def _open(file: IO[bytes]) -> tarfile.TarFile:
    options: dict[str, Any] = {"tarinfo": _Member}
    return tarfile.open(fileobj=file, mode="r|*", **options)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = b""
    try:
        reader = tar.extractfile(member)
        content = b"" if reader is None else reader.read()
    except tarfile.ReadError:
        pass
    if len(content) < member.size:  # tarfile may take what there is for all of it
        why = f"it is cut off: the {member.size} bytes of this member are not all there"
        raise PartError(f"member {member.name!r}", why)
    return content
