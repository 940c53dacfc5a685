"""Which files a Source reads: listed once, where it is declared, so that all workers agree."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from minipipe.errors import BuildError, OptionError
from minipipe.protocol.retrying import Retries
from minipipe.sources.attempts import with_retries
from minipipe.sources.braces import expand_braces
from minipipe.sources.storage import LOCAL, File, is_remote, remote_files

Patterns: TypeAlias = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

FILES_OPTIONS = ("files", "storage_options")


def list_files(
    patterns: Patterns, where: str, options: Mapping[str, Any] | None, retries: Retries
) -> Sequence[File]:
    """The files that patterns stand for, each once, in the order of the patterns, then by name.

    Raises:
        OptionError: no patterns.
        BuildError: one matches nothing, or its storage cannot be asked.
    """
    files: dict[str, File] = {}
    for pattern in _listed(patterns, where):
        found = _found(pattern, where, options or {}, retries)
        if not found:
            at = "" if is_remote(pattern) or os.path.isabs(pattern) else f" (in {os.getcwd()!r})"
            raise BuildError(f"{where} found no files: nothing matches {pattern!r}{at}")
        files.update((file.name, file) for file in found)
    return tuple(files.values())


def _listed(patterns: Patterns, where: str) -> list[str]:
    single = isinstance(patterns, str | os.PathLike)
    if not single and not isinstance(patterns, Iterable):
        raise OptionError(f"files of {where} is a pattern, or a list of them, got {patterns!r}")
    given = [patterns] if single else list(patterns)  # type: ignore[arg-type]
    texts = []
    for pattern in given:
        text = os.fspath(pattern) if isinstance(pattern, str | os.PathLike) else None
        if not isinstance(text, str) or not text:
            raise OptionError(f"files of {where} are paths, patterns or URLs, got {pattern!r}")
        texts.append(text)
    if not texts:
        raise BuildError(f"{where} found no files: its list of files is empty")
    return texts


def _found(
    pattern: str, where: str, options: Mapping[str, Any], retries: Retries
) -> Sequence[File]:
    if not is_remote(pattern) and os.path.exists(pattern):
        names = [pattern]  # a name may have braces in it
    else:
        try:
            names = expand_braces(pattern)
        except ValueError as error:
            raise BuildError(f"{where}: {error}") from error
    files: list[File] = []
    for number, name in enumerate(names):
        if is_remote(name):
            # The first of many URLs is looked for, so that a wrong bucket is known at once; the
            # others would cost a request each, and are missed when they are read.
            looks = number == 0
            found = with_retries(
                lambda name=name, looks=looks: remote_files(name, options, where, looks=looks),  # type: ignore[misc]
                retries,
                f"{where} could not list {name!r}",
            )
        else:
            try:
                found = LOCAL.found(name)
            except BuildError as error:
                raise BuildError(f"{where}: {error}") from None
        if not found and (number == 0 or not is_remote(name)):
            raise BuildError(_missing(name, pattern, where))
        files += found
    return files


def _missing(name: str, pattern: str, where: str) -> str:
    at = "" if is_remote(name) or os.path.isabs(name) else f" (in {os.getcwd()!r})"
    of = "" if name == pattern else f", which is of {pattern!r}"
    return f"{where} found no files: nothing matches {name!r}{of}{at}"
