"""Which installed packages a functor's modules import, as their source says.

A module of the user's is not to be imported for all workers at once: what it does at its import (it
draws random numbers, opens a log, asks who the worker is) is each worker's own.  What takes long is
what it imports itself.  So that is looked for in its source, and in that of the user's other
modules which it imports.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType

MODULES = 500  # of the user's: no more of them are looked into
SOURCE_BYTES = 1 << 20  # of all of them together: to parse that takes less than a second, once
_BODIES = ("body", "orelse", "handlers", "finalbody")
# What runs as a module is imported (the last one is from Python 3.11 on).
_RUN = (ast.If, ast.Try, ast.ExceptHandler, ast.With, getattr(ast, "TryStar", ast.Try))
_NOT_IMPORTED = ("TYPE_CHECKING", "__name__")  # what is under a test of these
_PLACES = tuple(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib"))


def installed_for(names: Iterable[str]) -> tuple[str, ...]:
    """The installed modules among these, and those that the others import.

    Only what is imported here, too: a worker need not be able to import anything else.
    """
    found: dict[str, None] = {}
    looked: set[str] = set()
    _look(list(names), found, looked)
    return tuple(found)


def importable_for(names: Iterable[str]) -> tuple[str, ...]:
    """The modules among these, and those that the user's ones among them import."""
    found: dict[str, None] = {}
    looked: set[str] = set()
    _look(list(names), found, looked)
    return (*found, *sorted(looked))


def _look(names: list[str], found: dict[str, None], looked: set[str]) -> None:
    """Depth first, so that it is in the order in which a worker would import it."""
    waiting, left_bytes = list(reversed(names)), SOURCE_BYTES
    while waiting and len(looked) < MODULES:
        name = waiting.pop()
        if name in looked or name in found or name == "__main__":
            continue
        module = fields_of(name)
        if module is None:
            continue
        if is_installed(name, module):
            found[name] = None
            continue
        looked.add(name)
        above, _, _ = name.rpartition(".")
        imports, size_bytes = _imports_of(module, left_bytes)
        left_bytes -= size_bytes
        waiting += reversed([above, *imports])


def fields_of(name: str) -> dict[str, object] | None:
    """What a module holds; None: it is not imported here."""
    module = sys.modules.get(name)
    if not isinstance(module, ModuleType):
        return None
    # (Past what a module that is loaded at its first use does at any other look at it.)
    fields: dict[str, object] = object.__getattribute__(module, "__dict__")
    return fields


def is_installed(name: str, fields: dict[str, object]) -> bool:
    """Whether a module is Python's, or a package's that was installed; or this package's."""
    if name.partition(".")[0] == "minipipe":
        return True
    origin = getattr(fields.get("__spec__"), "origin", None) or fields.get("__file__")
    if origin in ("built-in", "frozen"):
        return True
    if not isinstance(origin, str):  # a package without an __init__.py
        places = getattr(fields.get("__spec__"), "submodule_search_locations", None) or ()
        origin = next(iter(places), "")
    return lies_installed(origin)


def lies_installed(path: str) -> bool:
    """Whether a file or directory is where Python is, or where packages are installed."""
    if any(folder in ("site-packages", "dist-packages") for folder in Path(path).parts):
        return True
    return any(Path(path).is_relative_to(place) for place in _PLACES if place)


def _imports_of(fields: dict[str, object], left_bytes: int) -> tuple[list[str], int]:
    """The modules that a module of the user's imports, as far as its source can be read.

    Returns:
        Them, and the size of the source; nothing if it is larger than `left_bytes`.
    """
    origin = fields.get("__file__")
    if not isinstance(origin, str) or not origin.endswith(".py"):
        return [], 0
    try:
        at = Path(origin).stat()
        if at.st_size > left_bytes:
            return [], 0
        statements = _imports_in(origin, at.st_mtime_ns, at.st_size)
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return [], 0
    package = fields.get("__package__")
    return [full for one in statements for full in _names(one, package)], at.st_size


# A module, or what is imported from it (then with how many dots before it).
_Import = tuple[int, str, tuple[str, ...]]


@lru_cache(maxsize=MODULES)
def _imports_in(path: str, changed_ns: int, size_bytes: int) -> tuple[_Import, ...]:
    """The statements that run when a source is imported, of a file as it was at this time."""
    return tuple(_statements(ast.parse(Path(path).read_bytes()).body))


def _statements(body: Iterable[ast.AST]) -> Iterator[_Import]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", tuple(alias.name for alias in node.names)
        elif isinstance(node, _RUN):
            is_run = not (isinstance(node, ast.If) and _is_false(node.test))
            for part in _BODIES if is_run else ("orelse",):
                yield from _statements(getattr(node, part, []))


def _is_false(test: ast.expr) -> bool:
    """Whether it is what only a type checker, or only a script, goes into."""
    if isinstance(test, ast.UnaryOp):
        return False
    return any(
        getattr(node, "id", None) in _NOT_IMPORTED or getattr(node, "attr", None) in _NOT_IMPORTED
        for node in ast.walk(test)
    )


def _names(one: _Import, package: object) -> Iterator[str]:
    level, module, names = one
    if level:
        parts = str(package or "").split(".")
        if level > len(parts):
            return
        module = ".".join([*parts[: len(parts) - level + 1], *([module] if module else [])])
    yield module
    for name in names:  # one of them may be a module
        yield f"{module}.{name}"
