"""Collects what is shipped of the user's code.

Where git tracks it, that is all Python files that can be imported: also what is imported late, by a
name that nobody can read in a source.  (No directory is searched: the current one may be a home.)
Otherwise, or if that is too much, it is what functors name, and what their modules import.  What is
imported and not tracked goes as well, and is named in the log: left out, it would be missed only on
the other host.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from types import ModuleType

from minipipe.protocol.hosts.shipment import MAX_FILES, MAX_SHIPPED_BYTES, Manifest
from minipipe.supervisor.installed import lies_installed
from minipipe.supervisor.shipping.added import Added, files_in, find_added
from minipipe.supervisor.shipping.imports import names_in_functions
from minipipe.supervisor.shipping.needed import Needed
from minipipe.supervisor.shipping.own_code import OwnCode, Root, is_below, roots_of
from minipipe.supervisor.shipping.shipment import Shipment, pack_files, size_of
from minipipe.supervisor.shipping.tracked import tracked_python_files
from minipipe.supervisor.shipping.wish import Wish


def collect(
    modules: Iterable[str],
    ship: Wish = True,
    *,
    script: str | None = None,
    cwd: str | None = None,
    path: Sequence[str] | None = None,
) -> Shipment:
    """Collects what other hosts need of the user's code, and reads it.

    Takes some 10 ms for a small project, and a second or two for the largest one.

    Args:
        modules: that functors name (`PickledFunctor.modules`).
        ship: as the user wishes (`check_ship`).
        script: its file; None: there is none.
        cwd: the current directory; None: it was deleted.
        path: where modules are looked for; `sys.path` if it is left out.

    Raises:
        OptionError: `ship` names what is not there.
        StartError: it is too much, or cannot be read.
    """
    if ship is False:
        return Shipment(Manifest(is_off=True), b"")
    return _Collection(script, cwd, sys.path if path is None else path).made(modules, ship)


def script_file() -> str | None:
    """The file of the script that runs in this process; None: there is none (a notebook)."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return os.path.abspath(file) if isinstance(file, str) and file.endswith(".py") else None


class _Collection:
    def __init__(self, script: str | None, cwd: str | None, path: Sequence[str]) -> None:
        self._script = None if script is None else os.path.realpath(script)
        self._cwd = cwd
        self._own = OwnCode(script, cwd)
        self._roots = roots_of(path, cwd)
        self._needed = Needed(self._own, self._roots)
        self._files: dict[str, None] = {}  # paths, in the order in which they were found
        self._optional: set[str] = set()  # a file that git tracks may have been deleted
        self._bases: list[str] = []
        self._notes: list[str] = []

    def made(self, modules: Iterable[str], ship: Wish) -> Shipment:
        added = [] if ship is True else [find_added(one, self._cwd) for one in ship or ()]
        for one in added:
            self._add(one)
        self._follow([*modules, *(one.module for one in added if one.module)])
        imported = set(self._files)
        tracked = self._tracked()
        if tracked is not None:
            self._note_untracked([path for path in imported if path not in tracked])
        for source in self._needed.sources.values():
            if not self._own.is_under(source.path):
                self._bases.append(source.root)
        roots = [*self._roots]
        known = {root.path for root in roots}
        for source in self._needed.sources.values():
            if source.root not in known:  # an editable install, which a finder of its own finds
                known.add(source.root)
                roots.append(Root(source.root, False, False))
        return pack_files(
            list(self._files),
            optional=self._optional,
            directories=[*self._own.directories, *self._bases],
            roots=[self._first_if_added(root, added) for root in roots],
            left_out=self._needed.left_out,
            notes=self._notes,
        )

    def _add(self, added: Added) -> None:
        self._own.add(added.path)
        self._files.update(dict.fromkeys(files_in(added)))
        if not self._own.is_under(added.path):
            self._bases.append(added.base)

    @staticmethod
    def _first_if_added(root: Root, added: Iterable[Added]) -> Root:
        """What is installed here and named by the user comes before what is installed there."""
        if root.is_installed and any(one.base == root.path for one in added):
            return Root(root.path, True, True)
        return root

    def _follow(self, modules: Iterable[str]) -> None:
        names = [*modules, *self._imported_here()]
        script = self._script
        if script is not None and os.path.isfile(script) and self._own.has(script):
            self._files[script] = None
            package = getattr(sys.modules["__main__"], "__package__", None) or ""
            names += self._needed.imports(script, package)
        else:
            names += sorted(names_in_functions(vars(sys.modules["__main__"])))
        self._needed.follow(names)
        if not self._needed.is_whole:
            self._notes.append("there is too much of it to look for all that it imports")
        self._files.update(dict.fromkeys(one.path for one in self._needed.sources.values()))

    def _imported_here(self) -> list[str]:
        """The modules of the user's that this process has imported: functors may come by them."""
        found = []
        for name, module in list(sys.modules.items()):
            if isinstance(module, ModuleType):
                file = object.__getattribute__(module, "__dict__").get("__file__")
                if not isinstance(file, str) or lies_installed(file):
                    continue
                folder, base = os.path.split(os.path.abspath(file))
                if self._own.has(os.path.join(os.path.realpath(folder), base)):
                    found.append(name)
        return found

    def _tracked(self) -> set[str] | None:
        """Adds all that git tracks where modules are imported from, if that is not too much.

        Returns:
            That; None: git tracks nothing here.
        """
        # (Not of a work tree that is in PYTHONPATH and that nothing of this program is from.)
        used = set(self._files)
        roots = [
            root.path
            for root in self._roots
            if not root.is_installed
            and self._own.is_under(root.path)
            and any(is_below(path, root.path) for path in used)
        ]
        found: set[str] | None = None
        for root in roots:
            if any(is_below(root, other) and root != other for other in roots):
                continue
            tracked = tracked_python_files(root)
            if tracked is not None:
                found = (found or set()) | {path for path in tracked if self._own.has(path)}
        if not found:
            return found
        count, size_bytes = len(found | set(self._files)), 0
        if count <= MAX_FILES:
            size_bytes = sum(size_of(path) or 0 for path in found | set(self._files))
        if count > MAX_FILES or size_bytes > MAX_SHIPPED_BYTES:
            self._notes.append(f"not all that git tracks, which is {count} files: what is imported")
            return found
        self._optional |= found - set(self._files)
        self._files.update(dict.fromkeys(sorted(found)))
        return found

    def _note_untracked(self, paths: list[str]) -> None:
        untracked = [path for path in paths if path.endswith(".py") and self._own.is_under(path)]
        if untracked:
            shown = ", ".join(sorted(map(self._shown, untracked))[:5])
            more = f" and {len(untracked) - 5} more" if len(untracked) > 5 else ""
            self._notes.append(f"{shown}{more} too, which git does not track, as it is imported")

    def _shown(self, path: str) -> str:
        here = self._cwd and os.path.realpath(self._cwd)
        return os.path.relpath(path, here) if here and is_below(path, here) else path
