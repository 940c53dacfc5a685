"""Where files are: in the file system of this machine, or behind fsspec."""

from __future__ import annotations

import glob
import importlib
import os
from collections.abc import Mapping
from typing import IO, Any, NamedTuple, Protocol

from minipipe.errors import BuildError, MissingExtraError
from minipipe.protocol.frozen import frozen


class Storage(Protocol):
    """Something that has files."""

    def open(self, path: str) -> IO[bytes]:
        """The file, for reading."""


class File(NamedTuple):
    """A file of a Source.

    Attributes:
        name: its path as users know it, or its URL.
        path: what its storage knows it by.
    """

    name: str
    path: str
    storage: Storage

    def open(self) -> IO[bytes]:
        """The file, for reading."""
        return self.storage.open(self.path)


@frozen
class Local:
    """The file system of this machine."""

    def open(self, path: str) -> IO[bytes]:
        return open(path, "rb")

    def found(self, pattern: str) -> list[File]:
        """The files that a pattern of `glob` matches, by name (`**`: any number of folders).

        Raises:
            BuildError: it is a directory.
        """
        if os.path.isdir(pattern):
            inside = os.path.join(pattern, "*")
            raise BuildError(f"{pattern!r} is a directory: {inside!r} are the files in it")
        if os.path.exists(pattern):  # also a name with brackets in it
            return [File(pattern, pattern, self)]
        paths = sorted(glob.glob(pattern, recursive=True))
        return [File(path, path, self) for path in paths if not os.path.isdir(path)]


LOCAL = Local()


@frozen
class Remote:
    """A file system of fsspec's; pickled, it is made anew from what it was made of."""

    system: Any

    def open(self, path: str) -> IO[bytes]:
        file: IO[bytes] = self.system.open(path, "rb")
        return file


def is_remote(pattern: str) -> bool:
    """Whether it is a URL (`s3://bucket/name`, `zip://*.jpg::s3://bucket/name.zip`)."""
    return "://" in pattern


def remote_files(
    pattern: str, options: Mapping[str, Any], where: str, *, looks: bool
) -> list[File]:
    """The files that a URL stands for, which may have a pattern of `glob` in it.

    Args:
        options: of the file system (`anon=True`).
        looks: whether to look if a URL without a pattern in it exists.

    Raises:
        MissingExtraError: fsspec is not installed.
        BuildError: what it needs for this kind of URL is not.
        OSError: the storage could not be asked.
    """
    try:
        core = importlib.import_module("fsspec.core")
    except ImportError as error:
        raise MissingExtraError("fsspec", f"{where} of {pattern!r}", "files") from error
    try:
        system, path = core.url_to_fs(pattern, **options)
    except (ImportError, ValueError) as error:  # "Install s3fs to access S3"; no such protocol
        raise BuildError(f"{where} cannot open {pattern!r}: {error}") from error
    storage = Remote(system)
    parts = pattern.split("::")
    place = next((i for i, part in enumerate(parts) if glob.has_magic(part)), None)
    if place is None:
        there = not looks or system.exists(path)
        return [File(pattern, path, storage)] if there else []
    protocol, _, inside = parts[place].partition("://")
    slash = "/" if inside.startswith("/") else ""  # some file systems begin their paths so
    files = []
    for found in sorted(system.glob(path)):
        bare = slash + str(found).removeprefix(f"{protocol}://").lstrip("/")
        name = "::".join([*parts[:place], f"{protocol}://{bare}", *parts[place + 1 :]])
        files.append(File(name, str(found), storage))
    return files
