"""A shipment of the user's code: its files read, named by what is in them, and compressed."""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence

from minipipe.errors import StartError
from minipipe.protocol.hosts.shipment import (
    MAX_FILES,
    MAX_SHIPPED_BYTES,
    Entry,
    Manifest,
    ShippedFile,
    why_unsafe,
    write_manifest,
)
from minipipe.supervisor.shipping.own_code import Root, is_below, outermost

_LEVEL = 3  # of zlib: 64 MiB of Python take 1 s, and become a quarter
_LARGEST = 5  # files that are named where all are too much


class Shipment:
    """What is shipped of the user's code, whole.

    Args:
        manifest: what is in it.
        packed: what is in its files, one after the other (each once), compressed.
        notes: what else is to be said in the log.
    """

    def __init__(self, manifest: Manifest, packed: bytes, notes: Sequence[str] = ()) -> None:
        self.manifest = manifest
        self.manifest_bytes = write_manifest(manifest)
        self._packed = packed
        self._notes = notes

    def packed(self, wanted: Collection[bytes] | None = None) -> bytes:
        """What is in the files, for a host that has the manifest.

        Args:
            wanted: the digests of those that it does not have; None: of all.
        """
        contents = self.manifest.contents
        if wanted is None or set(wanted) == set(contents):
            return self._packed
        whole, at, pieces = zlib.decompress(self._packed), 0, []
        for digest, size_bytes in contents.items():
            if digest in wanted:
                pieces.append(whole[at : at + size_bytes])
            at += size_bytes
        return zlib.compress(b"".join(pieces), _LEVEL)

    def __str__(self) -> str:
        """What is said of it in the log."""
        manifest = self.manifest
        if manifest.is_off:
            return "no code is shipped to other hosts (ship=False)"
        count = len(manifest.files)
        text = "no code of your own is needed on other hosts"
        if count:
            what = "file" if count == 1 else "files"
            size = shown_size(manifest.size_bytes)
            origins = ", ".join(manifest.origins)
            text = f"shipped to other hosts: {count} {what} ({size}) of your code, from {origins}"
        left_out = [f"{name!r} ({why})" for name, why in manifest.left_out.items()]
        if left_out:
            text += f"; not shipped, so to be installed there or named in ship=: {left_out[0]}"
            text += "".join(f", {one}" for one in left_out[1:5])
        return "; ".join([text, *self._notes])


def pack_files(
    paths: Iterable[str],
    *,
    optional: Collection[str] = (),
    directories: Sequence[str],
    roots: Sequence[Root],
    left_out: Mapping[str, str],
    notes: Sequence[str] = (),
) -> Shipment:
    """Reads the files, and gives each its place in a shipment.

    Args:
        paths: of the files, without symbolic links in their directories.
        optional: those of them that need not be there.
        directories: under which they keep their places relative to each other.
        roots: where modules are imported from, in order.
        left_out: modules that are not in it, with the reason.
        notes: what else is to be said in the log.

    Raises:
        StartError: they are too large, or cannot be read.
    """
    sizes = {path: size for path in paths if (size := _size(path, optional)) is not None}
    _check_size(sizes)
    roots = [root for root in roots if any(is_below(path, root.path) for path in sizes)]
    directories = [*directories, *(root.path for root in roots)]
    trees = outermost([*directories, *(_folder(path, directories) for path in sizes)])
    trees = [tree for tree in trees if any(is_below(path, tree) for path in sizes)]
    files, pieces, seen, read_bytes = [], list[bytes](), set[bytes](), 0
    for path in sizes:
        place = _place(path, trees)
        if (why := why_unsafe(place, len(trees))) is not None:
            if path in optional:
                continue
            raise StartError(f"{path!r} cannot be shipped: it has a path that {why}")
        data = _read(path)
        read_bytes += len(data)
        if read_bytes > MAX_SHIPPED_BYTES:
            raise StartError(f"the code to be shipped grows while it is read ({path!r} did)")
        digest = hashlib.sha256(data).digest()
        if digest not in seen:
            seen.add(digest)
            pieces.append(data)
        files.append(ShippedFile(place, len(data), digest))
    entries = [Entry(_place(root.path, trees), root.is_first) for root in roots]
    manifest = Manifest(tuple(files), tuple(entries), tuple(trees), dict(left_out))
    return Shipment(manifest, zlib.compress(b"".join(pieces), _LEVEL), notes)


def _folder(path: str, directories: Sequence[str]) -> str:
    """The directory of these that a file is in, or its own."""
    return next((one for one in directories if is_below(path, one)), os.path.dirname(path))


def _place(path: str, trees: Sequence[str]) -> str:
    number = next(number for number, tree in enumerate(trees) if is_below(path, tree))
    way = os.path.relpath(path, trees[number])
    return str(number) if way == os.curdir else f"{number}/{way}"


def size_of(path: str) -> int | None:
    """The size of a regular file; None: there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _size(path: str, optional: Collection[str]) -> int | None:
    size_bytes = size_of(path)
    if size_bytes is None and path not in optional and not os.path.islink(path):
        raise StartError(f"{path!r} cannot be shipped to other hosts: it is no file that is there")
    return size_bytes


def _check_size(sizes: Mapping[str, int]) -> None:
    total_bytes = sum(sizes.values())
    if total_bytes <= MAX_SHIPPED_BYTES and len(sizes) <= MAX_FILES:
        return
    largest = sorted(sizes, key=lambda path: sizes[path], reverse=True)[:_LARGEST]
    named = ", ".join(f"{path} ({shown_size(sizes[path])})" for path in largest)
    raise StartError(
        f"the code to be shipped to other hosts is {shown_size(total_bytes)} in {len(sizes)} files,"
        f" and at most {shown_size(MAX_SHIPPED_BYTES)} in {MAX_FILES} files are shipped; the "
        f"largest are {named}: name less in ship=, or put it there by other means (ship=False)"
    )


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_SHIPPED_BYTES + 1)
    except OSError as error:
        why = error.strerror or error
        raise StartError(f"{path!r} cannot be shipped to other hosts: {why}") from error


def shown_size(size_bytes: int) -> str:
    """A size for people to read.

    >>> shown_size(2048), shown_size(3_500_000)
    ('2.0 KiB', '3.3 MiB')
    """
    if size_bytes < 1 << 20:
        return f"{size_bytes / 1024:.1f} KiB"
    return f"{size_bytes / (1 << 20):.1f} MiB"
