"""What this host runs: Python, MiniPipe, and the packages that are installed.

Nothing is imported for that, and no metadata is parsed, which takes a second where there are many:
the name and version of a package stand in the name of its directory.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence

from minipipe.protocol.hosts.versions import Versions
from minipipe.version import __version__

_CORE = ("numpy", "msgpack", "cloudpickle")
_DIRECTORY = re.compile(r"(?P<name>.+?)-(?P<version>\d[^-]*)(?:-py\d.*)?\.(?:dist|egg)-info")
_PLACES = {"site-packages", "dist-packages"}
_MAX_RECORD_BYTES = 8 << 20


def versions(path: Sequence[str] | None = None) -> Versions:
    """What this host runs.

    Args:
        path: where packages are looked for; `sys.path` if it is left out.
    """
    packages = {name: version for name, version, _ in _installed(path)}
    for name in _CORE:  # also where it is installed in some other way
        try:
            packages.setdefault(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            pass
    packages["minipipe"] = __version__
    return Versions(
        platform.python_version(),
        platform.python_implementation(),
        sys.byteorder,
        8 * struct.calcsize("P"),
        packages,
    )


def packages_of(modules: Iterable[str], path: Sequence[str] | None = None) -> tuple[str, ...]:
    """The names of the installed packages that modules belong to.

    Args:
        modules: their names; of what belongs to no package nothing is said, nor of what the user
            has installed in place (as editable), which is shipped.
        path: where packages are looked for; `sys.path` if it is left out.
    """
    installed = list(_installed(path))
    names = {name for name, _, _ in installed}
    found: dict[str, None] = {}
    left: set[bytes] = set()
    for module in modules:
        top = module.partition(".")[0]
        if top in sys.stdlib_module_names or top == "minipipe" or _is_users(module):
            continue
        if _normalized(top) in names:
            found[_normalized(top)] = None
        else:
            left.add(_beginning(module))
    for name, _, directory in installed if left else ():
        record = _record(directory)
        of_it = {beginning for beginning in left if beginning in record}
        if of_it:
            found[name] = None
            left -= of_it
    return tuple(found)


def _is_users(module: str) -> bool:
    """Whether it is imported from elsewhere than packages are: the user's, which is shipped."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return isinstance(file, str) and _PLACES.isdisjoint(os.path.abspath(file).split(os.sep))


def _beginning(module: str) -> bytes:
    """How a line of a package's list of files begins that names a module.

    (All of the way, as packages may share the beginning: `google.cloud`.)
    """
    file = getattr(sys.modules.get(module), "__file__", None)
    parts = module.split(".")
    if isinstance(file, str):
        folders = os.path.normpath(file).split(os.sep)
        depth = len(parts) + (folders[-1].partition(".")[0] == "__init__")
        return b"\n" + os.fsencode("/".join(folders[-depth:])) + b","
    return b"\n" + os.fsencode("/".join(parts)) + b"/"


def _record(directory: str) -> bytes:
    """The files of a package, a line each."""
    try:
        with open(os.path.join(directory, "RECORD"), "rb") as file:
            return b"\n" + file.read(_MAX_RECORD_BYTES)
    except OSError:
        return b""


def _installed(path: Sequence[str] | None) -> Iterator[tuple[str, str, str]]:
    """Names, versions and directories of packages, each once: as it would be imported."""
    seen: set[str] = set()
    for place in sys.path if path is None else path:
        try:
            entries = sorted(os.listdir(place or os.curdir))
        except OSError:
            continue
        for entry in entries:
            found = _DIRECTORY.fullmatch(entry)
            if found is None or (name := _normalized(found["name"])) in seen:
                continue
            seen.add(name)
            yield name, found["version"], os.path.join(place, entry)


def _normalized(name: str) -> str:
    """As the index of packages calls it (PEP 503).

    >>> _normalized("Scikit_Learn")
    'scikit-learn'
    """
    return re.sub(r"[-_.]+", "-", name).lower()
