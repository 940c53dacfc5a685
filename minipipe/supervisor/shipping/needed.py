"""Which files of the user's own code functors need: their modules, and what those import."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from minipipe.protocol.frozen import frozen
from minipipe.supervisor.installed import fields_of, is_installed
from minipipe.supervisor.shipping.imports import imports_of
from minipipe.supervisor.shipping.own_code import OwnCode, Root

MAX_MODULES = 5000
MAX_SOURCE_BYTES = 4 << 20  # of all that is looked into: a second or three
_MAINS = ("__main__", "__mp_main__")


@frozen
class Source:
    """A module's file.

    Attributes:
        path: of the file.
        root: the directory that the module is imported from.
        package: that it is in, or that it is.
    """

    path: str
    root: str
    package: str


class Needed:
    """Finds the modules of the user's that others name, and what these import in turn.

    Args:
        own: what is the user's.
        roots: where modules are looked for.
    """

    def __init__(self, own: OwnCode, roots: Sequence[Root]) -> None:
        self._own = own
        self._roots = roots
        self._looked: set[str] = set()
        self._left_bytes = MAX_SOURCE_BYTES
        self.sources: dict[str, Source] = {}  # by name
        self._left_out: dict[str, str] = {}
        self.is_whole = True  # nothing was too much to look into

    @property
    def left_out(self) -> dict[str, str]:
        """Modules that are imported here and not the user's to ship, with the reason."""
        out = self._left_out  # a package stands for what is in it
        return {name: why for name, why in out.items() if name.rpartition(".")[0] not in out}

    def follow(self, names: Iterable[str]) -> None:
        """Adds the modules of these names, and what they import."""
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in self._looked or name in _MAINS:
                continue
            above, _, _ = name.rpartition(".")
            if above:
                waiting.append(above)
            self._looked.add(name)
            source = self._find(name)
            if source is None:
                continue
            if len(self.sources) >= MAX_MODULES:
                self.is_whole = False
                return
            self.sources[name] = source
            waiting += self.imports(source.path, source.package)

    def imports(self, path: str, package: str) -> list[str]:
        """What a source file imports, unless all of them together are too large to look into."""
        try:
            with open(path, "rb") as file:
                text = file.read(self._left_bytes + 1)
        except OSError:
            return []
        if len(text) > self._left_bytes:
            self.is_whole = False
            return []
        self._left_bytes -= len(text)
        return imports_of(text, package)

    def _find(self, name: str) -> Source | None:
        """The module of this name; None: there is none, or it is not the user's."""
        fields = fields_of(name)
        if fields is not None:
            return self._imported(name, fields)
        top = name.partition(".")[0]
        fields = fields_of(top)
        if top in sys.stdlib_module_names or (fields and self._is_others(top, fields)):
            return None
        return self._searched(name)

    def _imported(self, name: str, fields: dict[str, object]) -> Source | None:
        """The file of a module that is imported here."""
        file = fields.get("__file__")
        if not isinstance(file, str):
            return None  # a package without an __init__.py, or made by hand: then by value
        root = _root_of(name, os.path.abspath(file))
        path = file if root is None else _joined(root, file, name)
        if not self._own.has(path):
            if not is_installed(name, fields):
                self._left_out[name] = f"it lies elsewhere ({file})"
            return None
        if not file.endswith(".py"):
            self._left_out[name] = f"it is no Python source ({file})"
            return None
        if root is None or not os.path.isfile(path):
            self._left_out[name] = f"its file is called otherwise ({file})"
            return None
        return Source(path, root, _package(name, file))

    def _is_others(self, name: str, fields: dict[str, object]) -> bool:
        file = fields.get("__file__")
        is_own = isinstance(file, str) and self._own.has(os.path.realpath(file))
        return is_installed(name, fields) and not is_own

    def _searched(self, name: str) -> Source | None:
        """The file that importing this name would find."""
        parts = name.split(".")
        if not all(part.isidentifier() for part in parts):
            return None
        for root in self._roots:
            base = os.path.join(root.path, *parts)
            for path in (os.path.join(base, "__init__.py"), f"{base}.py"):
                if self._own.has(path) and os.path.isfile(path):
                    return Source(path, root.path, _package(name, path))
        return None


def _root_of(name: str, file: str) -> str | None:
    """The directory that a module is imported from; None: its file is called otherwise."""
    parts = name.split(".")
    folder, base = os.path.split(file)
    if base.partition(".")[0] != "__init__":
        if base.partition(".")[0] != parts[-1]:
            return None
        parts = parts[:-1]
    for part in reversed(parts):
        folder, base = os.path.split(folder)
        if base != part:
            return None
    return os.path.realpath(folder)


def _joined(root: str, file: str, name: str) -> str:
    """The path of a module's file, where its root has no symbolic links in it any more."""
    parts = name.split(".")
    base = os.path.basename(file)
    if base.partition(".")[0] != "__init__":
        parts = parts[:-1]
    return os.path.join(root, *parts, base)


def _package(name: str, file: str) -> str:
    is_package = os.path.basename(file) == "__init__.py"
    return name if is_package else name.rpartition(".")[0]
