"""Which modules a module's source imports anywhere in it, also in functions that run later."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType

_BY_CALL = ("import_module", "__import__")


def imports_of(source: bytes, package: str) -> list[str]:
    """The modules that a source names, and what may be one (`a.b` of `from a import b`).

    Args:
        source: of a module.
        package: that it is in, or that it is; "" if it is in none.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []  # whoever imports it will see
    return list(dict.fromkeys(name for node in ast.walk(tree) for name in _named(node, package)))


def _named(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = _absolute(node.level, node.module or "", package)
        if above is not None:
            yield above
            yield from (f"{above}.{alias.name}" for alias in node.names if alias.name != "*")
    elif isinstance(node, ast.Call):
        function = node.func
        called = getattr(function, "attr", None) or getattr(function, "id", None)
        first = node.args[0] if node.args else None
        if called in _BY_CALL and isinstance(first, ast.Constant) and isinstance(first.value, str):
            name = first.value.lstrip(".")
            above = _absolute(len(first.value) - len(name), name, package)
            if above is not None:
                yield above


def _absolute(level: int, module: str, package: str) -> str | None:
    """The name of a module that is named from within a package; None: it leads out of it."""
    if not level:
        return module or None
    parts = package.split(".") if package else []
    if level > len(parts):
        return None
    return ".".join([*parts[: len(parts) - level + 1], *([module] if module else [])])


def names_in_functions(namespace: Mapping[str, object]) -> set[str]:
    """What functions and classes name that were typed in, and have no source file.

    An `import` in their bodies leaves the module's name there; other names are among them.
    """
    found: set[str] = set()
    seen: set[int] = set()
    for value in list(namespace.values()):
        methods = list(vars(value).values()) if isinstance(value, type) else [value]
        for function in methods:
            function = getattr(function, "__wrapped__", getattr(function, "__func__", function))
            if isinstance(function, FunctionType):
                _names_of(function.__code__, found, seen)
    return found


def _names_of(code: CodeType, found: set[str], seen: set[int]) -> None:
    if id(code) in seen:
        return
    seen.add(id(code))
    found.update(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _names_of(constant, found, seen)
