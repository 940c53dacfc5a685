"""Data sets for the tests, and file systems that are remote, or fail."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem


def write_tar(path: Path, samples: dict[str, dict[str, bytes]], mode: str = "w") -> Path:
    """One member for each part of each sample, in this order."""
    with tarfile.open(path, mode) as tar:
        for key, parts in samples.items():
            for part, content in parts.items():
                add(tar, f"{key}.{part}", content)
    return path


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def shard(number: int, count: int = 5) -> dict[str, dict[str, bytes]]:
    return {
        f"{number:03d}/{i:04d}": {"jpg": bytes([number, i]) * 2000, "cls": b"%d" % i}
        for i in range(count)
    }


class Far(LocalFileSystem):
    """Local files under a protocol that only those know who were given the class."""

    protocol = "far"
    root_marker = ""

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        return super()._strip_protocol(str(path).removeprefix("far://"))


class Flaky(Far):
    """Fails so many times for each file, then works: counted in a directory, by all processes."""

    protocol = "flaky"

    def __init__(self, directory: str = "", times: int = 2, after: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.directory, self.times, self.after = directory, times, after

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        return super()._strip_protocol(str(path).removeprefix("flaky://"))

    def open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        fails = False
        for attempt in range(self.times):
            name = f"{os.path.basename(path)}.{attempt}"
            try:
                os.close(os.open(os.path.join(self.directory, name), os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            fails = True
            break
        if fails and self.after < 0:
            raise ConnectionResetError(f"attempt at {os.path.basename(path)}")
        file = super().open(path, mode, **kwargs)
        return Breaking(file, self.after) if fails else file


class Breaking(io.RawIOBase):
    """A file that breaks off with an error behind so many bytes."""

    def __init__(self, file: Any, after: int) -> None:
        self._file, self._left = file, after

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._left <= 0:
            raise ConnectionResetError("broke off")
        content: bytes = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(content)
        return content

    def close(self) -> None:
        self._file.close()
        super().close()
