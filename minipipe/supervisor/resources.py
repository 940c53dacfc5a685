"""What a functor may refer to that processes which share it by fork take from each other.

A forked process shares an open file's position, a socket's bytes, the locks and the half-read
answers of a database; each of them believes that it is alone.
"""

from __future__ import annotations

import io
import mmap
import socket
import sys
from collections.abc import Iterator
from typing import Any

from minipipe.codec.registry import library_of
from minipipe.protocol.frozen import frozen
from minipipe.supervisor.references import Reference, references
from minipipe.worker.spec import Task

MEND = "open it in local_init, or in the functor, so that each worker has its own"

_STDIN = "give the path of a file instead, or run it in this process with build(inline=True)"


@frozen
class Resource:
    """Something open that a functor refers to."""

    reference: Reference
    what: str  # "the open file 'x.bin'"
    for_none: bool = False  # not even one forked process may use it
    is_written: bool = False  # with a buffer, which a fork doubles
    mend: str = MEND

    @property
    def value(self) -> Any:
        return self.reference.value

    @property
    def number(self) -> int:
        """The same for what is open once: its descriptor, or else what stands for the object."""
        number = _number(self.value)
        return -id(self.value) if number is None else number

    def breaks(self, workers: int) -> bool:
        """Whether so many workers certainly cannot have it from this process."""
        return self.for_none or workers > 1

    def error(self, where: str, workers: int) -> str:
        """Why they cannot, and what to do."""
        if self.for_none:
            why = "a process that is forked from this one cannot use it"
        else:
            why = f"its {workers} workers, forked from this process, would take it from each other"
        refers = f"the functor of {where} refers to {self.what} ({self.reference})"
        return f"{refers}, and {why}: {self.mend}"

    @property
    def warning(self) -> str:
        """What one worker, which may have it, should know."""
        text = f"{self.what} ({self.reference}) is shared with this process, its position, too"
        if self.is_written:
            text += ", and what the worker writes is in the file when the worker has ended"
        return f"{text}: {self.mend}"


def resources(task: Task) -> Iterator[Resource]:
    """All that the functor refers to of this kind, each once."""
    seen: set[int] = set()
    for reference in references(task):
        resource = _resource(reference)
        if resource is not None and resource.number not in seen:
            seen.add(resource.number)  # it will be met again: the file under an archive, or a text
            yield resource


def _resource(reference: Reference) -> Resource | None:
    value = reference.value
    library = library_of(type(value))
    sharing = None if library is None else library.shared(type(value))
    if sharing is not None:
        return Resource(reference, sharing.what, sharing.for_none)
    if isinstance(value, mmap.mmap):
        return None  # the memory is meant to be shared, and each process has a position of its own
    number = _number(value)
    if number is None or number in (1, 2):
        return None
    if value is sys.stdin or number == 0:
        return Resource(reference, "standard input", for_none=True, mend=_STDIN)
    if isinstance(value, socket.socket):
        return Resource(reference, "an open socket")
    written = isinstance(value, io.IOBase) and value.writable()
    return Resource(reference, f"the open file {_name(value)!r}", is_written=written)


def _number(value: Any) -> int | None:
    """The descriptor of an open file or socket; None for what is none."""
    is_archive = (type(value).__module__, type(value).__name__) in _ARCHIVES
    file = (
        getattr(value, _ARCHIVES[type(value).__module__, type(value).__name__])
        if is_archive
        else value
    )
    if not isinstance(file, io.IOBase | socket.socket):
        return None
    try:
        number = file.fileno()
    except (OSError, ValueError):
        return None  # it is closed, or in memory
    return number if number >= 0 else None


# The attribute in which an archive has its file.
_ARCHIVES = {("zipfile", "ZipFile"): "fp", ("tarfile", "TarFile"): "fileobj"}


def _name(value: Any) -> str:
    name = getattr(value, "name", None) or getattr(value, "filename", None)
    return str(name) if name is not None else type(value).__name__
