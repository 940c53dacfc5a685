"""Which code is the user's own: what lies under their directories, and is not installed there."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path

from minipipe.protocol.frozen import frozen
from minipipe.supervisor.installed import lies_installed
from minipipe.supervisor.shipping.tracked import work_tree_of

_PACKAGE = str(Path(__file__).resolve().parents[2])  # MiniPipe itself


@frozen
class Root:
    """A directory that modules are imported from: one of `sys.path`.

    Attributes:
        path: without symbolic links.
        is_first: it comes before what is installed.
        is_installed: packages are installed there.
    """

    path: str
    is_first: bool
    is_installed: bool


def roots_of(path: Iterable[str], cwd: str | None) -> list[Root]:
    """The directories that modules are imported from, in their order; Python's own are left out."""
    found: dict[str, Root] = {}
    is_first = True
    for entry in path:
        if not entry and cwd is None:
            continue
        real = os.path.realpath(os.path.join(cwd or "", entry))
        installed = lies_installed(real) or lies_installed(entry)
        is_first &= not installed
        if real not in found and os.path.isdir(real):
            found[real] = Root(real, is_first, installed)
    return list(found.values())


class OwnCode:
    """The directories whose code is the user's, and what of it is theirs.

    Args:
        script: the script's file; None: there is none (a notebook).
        cwd: the current directory; None: it was deleted.
    """

    def __init__(self, script: str | None, cwd: str | None) -> None:
        directories = [] if cwd is None else [os.path.realpath(cwd)]
        if script is not None and not _is_command(script):
            directories.insert(0, os.path.dirname(os.path.realpath(script)))
        # A project is one work tree, whichever part of it the script lies in.
        trees = [work_tree_of(directory) for directory in directories]
        self.directories = outermost([*directories, *(tree for tree in trees if tree is not None)])
        self._added: list[str] = []

    def add(self, path: str) -> None:
        """This file or directory is shipped as if it was the user's, also if it is installed."""
        self._added.append(path)

    def has(self, path: str) -> bool:
        """Whether a file is the user's."""
        if any(is_below(path, added) for added in self._added):
            return True
        return self.is_under(path) and not lies_installed(path) and not is_below(path, _PACKAGE)

    def is_under(self, path: str) -> bool:
        """Whether a file or directory lies where the user's code does."""
        return any(is_below(path, directory) for directory in self.directories)


def _is_command(script: str) -> bool:
    """Whether the script is a command that was installed (pytest, a launcher of notebooks)."""
    commands = os.path.realpath(sysconfig.get_path("scripts") or os.devnull)
    return lies_installed(script) or os.path.dirname(os.path.realpath(script)) == commands


def outermost(directories: Sequence[str]) -> list[str]:
    """Those of the directories that are in no other one of them."""
    once = list(dict.fromkeys(directories))
    return [one for one in once if not any(other != one and is_below(one, other) for other in once)]


def is_below(path: str, directory: str) -> bool:
    """Whether a path is a directory, or leads into it; both without symbolic links."""
    return path == directory or path.startswith(directory.rstrip(os.sep) + os.sep)
