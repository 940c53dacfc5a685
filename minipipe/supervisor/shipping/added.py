"""What the user adds to a shipment by name: modules, files, directories."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence

from minipipe.errors import OptionError
from minipipe.protocol.frozen import frozen
from minipipe.protocol.hosts.shipment import MAX_FILES
from minipipe.supervisor.shipping.own_code import is_below

_NOT_SHIPPED = ("__pycache__", ".git", ".hg", ".svn")


@frozen
class Added:
    """One thing that `ship=` names.

    Attributes:
        module: its name; "" if it is a path.
        path: of the package's directory, or the file, or the directory.
        base: what its place is told from, if it is not in a directory of the user's.
    """

    module: str
    path: str
    base: str


def find_added(wish: str, cwd: str | None) -> Added:
    """What the user means.

    Raises:
        OptionError: there is no such module, file or directory.
    """
    path = os.path.join(cwd or os.curdir, os.path.expanduser(wish))
    if all(map(str.isidentifier, wish.split("."))):
        found = _module(wish)
        if found is not None:
            return found
    if not os.path.exists(path):
        what = f"there is no file or directory {path!r}"
        if all(map(str.isidentifier, wish.split("."))):
            what = f"there is no module {wish!r} that has a file, and {what}"
        raise OptionError(f"ship= of run names {wish!r}, and {what}")
    folder, name = os.path.split(os.path.abspath(path))
    real = os.path.join(os.path.realpath(folder), name)
    if os.path.isdir(path):
        real = os.path.realpath(path)
    return Added("", real, os.path.dirname(real))


def _module(name: str) -> Added | None:
    """The module of this name; a package stands for all that is in it."""
    file: str | None = None
    places: Sequence[str] = ()
    module = sys.modules.get(name)
    if module is not None:
        file = getattr(module, "__file__", None)
        places = list(getattr(module, "__path__", ()))
    else:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            return None
        if spec is not None:
            file = spec.origin if spec.has_location else None
            places = list(spec.submodule_search_locations or ())
    path = next(iter(places), file)
    if not isinstance(path, str) or not os.path.exists(path):
        return None
    base = os.path.realpath(os.path.dirname(path))
    path = os.path.join(base, os.path.basename(path))
    for _ in name.split(".")[1:]:
        base = os.path.dirname(base)
    return Added(name, path, base)


def files_in(added: Added) -> Iterator[str]:
    """The files that something stands for: of a module the Python files, of a path all.

    Raises:
        OptionError: they are more than can be shipped.
    """
    if not os.path.isdir(added.path):
        yield added.path
        return
    count = 0
    for folder, folders, names in os.walk(added.path):
        # (A virtual environment is no code of the user's, and has ten thousand files.)
        if "pyvenv.cfg" in names and not is_below(added.path, folder):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if name not in _NOT_SHIPPED)
        for name in sorted(names):
            if added.module and not name.endswith(".py"):
                continue
            count += 1
            if count > MAX_FILES:
                raise OptionError(
                    f"ship= of run names {added.path!r}, which has more than {MAX_FILES} files: "
                    "name what is needed of it"
                )
            yield os.path.join(folder, name)
