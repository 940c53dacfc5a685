"""What a shipment of the user's code says of itself: which files, and where modules are found.

The files keep their places relative to each other: next to a module is what is next to it at home.
What lay under one directory there is a *tree* here, and a number stands for it: of the file
`/home/me/project/src/data.py` a shipment says `0/src/data.py`.

A shipment comes from the run, which the agent trusts.  It is read as if it did not: a path that
leads out of the directory, or a size that nobody has agreed to, must not get as far as a disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any

import msgpack

from minipipe.errors import WireFormatError
from minipipe.protocol.frozen import frozen

VERSION = 1
MAX_SHIPPED_BYTES = 64 << 20
MAX_FILES = 20_000
MANIFEST = "manifest"  # a file beside the trees: a worker that misses a module looks into it
_DIGEST_BYTES = 32
_MAX_NAME_BYTES, _MAX_PATH_BYTES = 255, 4000  # what Linux allows, less the directory before it
_MAX_TEXTS = 1000


@frozen
class ShippedFile:
    """One file.

    Attributes:
        path: in the shipment: a tree's number, and the way from there.
        size_bytes: of what is in it.
        digest: SHA-256 of that.
    """

    path: str
    size_bytes: int
    digest: bytes


@frozen
class Entry:
    """A directory of the shipment that modules are imported from, as one of `sys.path`.

    Attributes:
        path: as that of a file.
        is_first: it comes before what the host has installed, and otherwise behind.
    """

    path: str
    is_first: bool = True


@frozen
class Manifest:
    """What is in a shipment.

    Attributes:
        files: all of them.
        entries: in the order in which modules are looked for.
        origins: where the trees lie on the run's own host, by their numbers.
        left_out: modules that functors name and that are not shipped, with the reason.
        is_off: the user wished no shipment (`ship=False`).
    """

    files: tuple[ShippedFile, ...] = ()
    entries: tuple[Entry, ...] = ()
    origins: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    is_off: bool = False

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def contents(self) -> dict[bytes, int]:
        """The sizes of what is in the files, by digest: alike ones are sent once."""
        return {file.digest: file.size_bytes for file in self.files}

    def tops(self) -> list[str]:
        """The names of the modules and packages that can be imported from its entries."""
        found: dict[str, None] = {}
        for entry in self.entries:
            above = f"{entry.path}/"
            for file in self.files:
                if file.path.startswith(above) and file.path.endswith(".py"):
                    found[file.path[len(above) :].partition("/")[0].removesuffix(".py")] = None
        return list(found)

    def path_of(self, original: str) -> str | None:
        """Where a file of the run's own host is in the shipment; None: it is not."""
        for number, origin in enumerate(self.origins):
            above = origin.rstrip("/") + "/"
            if original.startswith(above):
                path = f"{number}/{original[len(above) :]}"
                return path if any(file.path == path for file in self.files) else None
        return None


NOTHING = Manifest()


def write_manifest(manifest: Manifest) -> bytes:
    """The manifest in bytes, the same ones for the same shipment."""
    data: bytes = msgpack.packb(
        [
            VERSION,
            [[file.path, file.size_bytes, file.digest] for file in manifest.files],
            [[entry.path, entry.is_first] for entry in manifest.entries],
            list(manifest.origins),
            dict(manifest.left_out),
            manifest.is_off,
        ]
    )
    return data


def name_of(manifest: bytes) -> str:
    """A name for this shipment alone: that of its directory."""
    return hashlib.sha256(manifest).hexdigest()[:16]


def read_manifest(data: bytes) -> Manifest:
    """The manifest.

    Raises:
        WireFormatError: it is none, or would write outside of its directory, or too much.
    """
    try:
        version, files, entries, origins, left_out, is_off = msgpack.unpackb(
            data, max_array_len=max(MAX_FILES, _MAX_TEXTS), max_map_len=_MAX_TEXTS
        )
        if version != VERSION:
            raise _refused(f"is of version {version!r}, and this MiniPipe reads {VERSION}")
        manifest = Manifest(
            tuple(ShippedFile(*_checked(one, str, int, bytes)) for one in files),
            tuple(Entry(*_checked(one, str, bool)) for one in entries),
            tuple(_checked(origins, *[str] * len(origins))),
            {name: str(why) for name, why in left_out.items() if isinstance(name, str)},
            is_off is True,
        )
    except WireFormatError:
        raise
    except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
        raise _refused("is malformed") from error
    _check(manifest)
    return manifest


def _checked(values: Iterable[Any], *kinds: type) -> list[Any]:
    """The values, if they are of these types."""
    values = list(values)
    if list(map(type, values)) != list(kinds):
        raise TypeError("of other types")
    return values


def _check(manifest: Manifest) -> None:
    trees = len(manifest.origins)
    paths = [file.path for file in manifest.files]
    for path in (*paths, *(entry.path for entry in manifest.entries)):
        if (why := why_unsafe(path, trees)) is not None:
            raise _refused(f"names the path {path[:200]!r}, which {why}")
    files = set(paths)
    if len(files) != len(paths):
        raise _refused("names a file twice")
    entries = {entry.path for entry in manifest.entries}
    for path in (*paths, *entries):
        if not files.isdisjoint(_above(path)) or path in files & entries:
            raise _refused(f"has something in {path[:200]!r}, or above it, that is a file")
    for file in manifest.files:
        if "/" not in file.path:
            raise _refused("has a tree that is no file's directory")
        if file.size_bytes < 0 or len(file.digest) != _DIGEST_BYTES:
            raise _refused("is malformed")
    if manifest.size_bytes > MAX_SHIPPED_BYTES:
        raise _refused(f"is of {manifest.size_bytes} bytes, which is more than {MAX_SHIPPED_BYTES}")


def why_unsafe(path: str, trees: int) -> str | None:
    """Why a path may not be written to in the directory of a shipment; None if it may.

    Args:
        path: with a tree's number before it.
        trees: how many there are.
    """
    number, *parts = path.split("/")
    if number not in map(str, range(trees)):
        return "is in no tree of it"
    if any(part in ("", ".", "..") for part in parts):
        return "leads elsewhere"
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        return "is no text of Unicode"
    if "\0" in path or any(size > _MAX_NAME_BYTES for size in sizes):
        return "no file can have"
    return "is too long" if sum(sizes) + len(sizes) > _MAX_PATH_BYTES else None


def _above(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _refused(what: str) -> WireFormatError:
    return WireFormatError(f"a shipment of code {what}")
