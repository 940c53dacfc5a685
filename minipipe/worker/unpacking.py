"""Unpacks the user's code on another host, into a private directory, for its workers to import."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import zlib
from collections.abc import Mapping, Sequence

from minipipe.errors import StartError, WireFormatError
from minipipe.protocol.frozen import frozen
from minipipe.protocol.hosts.shipment import MANIFEST, Manifest, name_of, read_manifest

_FULL = (errno.ENOSPC, errno.EDQUOT)


@frozen
class Unpacked:
    """A shipment on this host.

    Attributes:
        directory: where its trees are.
        manifest: what is in it.
    """

    directory: str
    manifest: Manifest

    def sys_path(self, own: Sequence[str]) -> tuple[str, ...]:
        """`sys.path` of the workers here.

        Args:
            own: this host's.
        """
        first = [self._joined(one.path) for one in self.manifest.entries if one.is_first]
        last = [self._joined(one.path) for one in self.manifest.entries if not one.is_first]
        return (*first, *own, *last)

    def path_of(self, original: str) -> str | None:
        """Where a file of the run's own host (the script) is here; None: it was not shipped.

        Args:
            original: its path there, without symbolic links.
        """
        path = self.manifest.path_of(original)
        return None if path is None else self._joined(path)

    def main_of(self, main: Mapping[str, str]) -> dict[str, str]:
        """What makes a worker's `__main__` that of the script, here: its file is the shipped one.

        (A process that multiprocessing spawns in a worker executes that file.)
        """
        file = self.path_of(main.get("__file__", ""))
        return dict(main) if file is None else {**main, "__file__": file}

    def _joined(self, path: str) -> str:
        return os.path.join(self.directory, *path.split("/"))


class Unpacker:
    """Unpacks shipments side by side; what one has that another one had is not sent again.

    Args:
        directory: is made, for this user alone, or was made by another one of these.
        host: the name of this host, for errors.
    """

    def __init__(self, directory: str, host: str) -> None:
        self._directory = directory
        self._host = host
        self._known: dict[bytes, str] = {}  # digest: a file that had this in it

    def missing(self, manifest: Manifest) -> tuple[bytes, ...]:
        """The digests of what is not here, of what the files of a shipment have in them."""
        contents = manifest.contents
        return tuple(digest for digest in contents if self._kept(digest) is None)

    def unpack(self, manifest_bytes: bytes, packed: bytes) -> Unpacked:
        """Writes the files of a shipment.

        Args:
            manifest_bytes: says what is in it.
            packed: what was `missing`, as `Shipment.packed` gives it.

        Raises:
            WireFormatError: it is none, or damaged, or would write elsewhere.
            StartError: this host has no room for it, or cannot write there.
        """
        manifest = read_manifest(manifest_bytes)
        whole = os.path.join(self._directory, name_of(manifest_bytes))
        unpacked = Unpacked(whole, manifest)
        if os.path.isdir(whole):
            return unpacked  # the same one, once more
        contents = self._contents(manifest, packed)
        part = f"{whole}.part"
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            self._check_private()
            os.mkdir(part, 0o700)
            self._write(part, manifest, contents)
            _write_file(os.path.join(part, MANIFEST), manifest_bytes)
            os.rename(part, whole)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise self._error(error, manifest) from error
        for file in manifest.files:
            self._known[file.digest] = os.path.join(whole, *file.path.split("/"))
        return unpacked

    def _kept(self, digest: bytes) -> bytes | None:
        """What has this digest, if it is here; workers may have written to the file since."""
        path = self._known.get(digest)
        if path is None:
            return None
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            return None
        return data if hashlib.sha256(data).digest() == digest else None

    def _contents(self, manifest: Manifest, packed: bytes) -> Mapping[bytes, bytes]:
        """What is in the files: what was kept, and what was sent."""
        found: dict[bytes, bytes] = {}
        stream = _Stream(packed)
        for digest, size_bytes in manifest.contents.items():
            kept = self._kept(digest)
            if kept is None:
                kept = stream.read(size_bytes)
                if hashlib.sha256(kept).digest() != digest:
                    raise WireFormatError("a shipment of code is damaged: a digest is wrong")
            found[digest] = kept
        stream.check_end()
        return found

    @staticmethod
    def _write(part: str, manifest: Manifest, contents: Mapping[bytes, bytes]) -> None:
        for number in range(len(manifest.origins)):
            os.mkdir(os.path.join(part, str(number)), 0o700)
        for entry in manifest.entries:
            os.makedirs(os.path.join(part, *entry.path.split("/")), 0o700, exist_ok=True)
        for file in manifest.files:
            path = os.path.join(part, *file.path.split("/"))
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            _write_file(path, contents[file.digest])

    def _check_private(self) -> None:
        """Raises if others could put code of theirs into the directory."""
        found = os.lstat(self._directory)
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise StartError(
                f"host {self._host!r} does not unpack code into {self._directory!r}: other users "
                "may write there"
            )

    def _error(self, error: OSError, manifest: Manifest) -> StartError:
        why = error.strerror or str(error)
        needed = manifest.size_bytes / (1 << 20)
        text = (
            f"host {self._host!r} cannot unpack the code of the run in {self._directory!r}: {why}"
        )
        if error.errno in _FULL:
            text += (
                f" ({needed:.1f} MiB are needed{_free(self._directory)}; TMPDIR of the agent says "
                "where it is)"
            )
        return StartError(text)


class _Stream:
    """What was packed, piece by piece: no more than asked for is ever in memory."""

    def __init__(self, packed: bytes) -> None:
        self._inflate = zlib.decompressobj()
        self._left = packed

    def read(self, size_bytes: int) -> bytes:
        """So many bytes.

        Raises:
            WireFormatError: there are no more.
        """
        pieces = []
        while size_bytes:
            piece = self._some(size_bytes)
            if not piece:
                raise WireFormatError("a shipment of code was cut")
            pieces.append(piece)
            size_bytes -= len(piece)
        return b"".join(pieces)

    def check_end(self) -> None:
        """Raises `WireFormatError` if there is more."""
        if self._some(1) or self._left:
            raise WireFormatError("a shipment of code has more in it than it says")

    def _some(self, size_bytes: int) -> bytes:
        try:
            piece = self._inflate.decompress(self._left, size_bytes)
        except zlib.error as error:
            raise WireFormatError("a shipment of code is damaged") from error
        self._left = self._inflate.unconsumed_tail or self._inflate.unused_data
        return piece


def _write_file(path: str, data: bytes) -> None:
    """Writes a file that was not there; a link in its place is not followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)


def _free(directory: str) -> str:
    try:
        return f", {shutil.disk_usage(directory).free / (1 << 20):.1f} MiB are free there"
    except OSError:
        return ""
