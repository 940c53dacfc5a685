"""What is compiled: all of it or nothing, and written so that a compiler takes it as meant."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections import defaultdict
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

import pytest

import minipipe
from minipipe.version import core

PACKAGE = Path(minipipe.__file__).parent
SETUP = Path(__file__).parent.parent / "setup.py"


def loaded_setup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_of_minipipe", SETUP)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FILES = [Path(file) for file in loaded_setup().sources()]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_each_of_them_is_compiled_or_none_is(file: Path) -> None:
    name = ".".join(file.with_suffix("").parts)
    loaded = str(importlib.import_module(name).__file__)
    assert loaded.endswith(tuple(EXTENSION_SUFFIXES)) == (core() == "compiled")
    assert (PACKAGE.parent / file).exists()  # the source, which tracebacks show


def parsed(file: Path) -> ast.Module:
    return ast.parse((PACKAGE.parent / file).read_text())


def test_nothing_that_is_not_compiled_inherits_from_what_is() -> None:
    """mypyc refuses that when the class is made: at the first `batch=` with `threads=`, say."""
    modules = {".".join(file.with_suffix("").parts): file for file in FILES}
    found = []
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.relative_to(PACKAGE.parent) in FILES:
            continue
        compiled = {
            name.asname or name.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module in modules
            for name in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases = {ast.unparse(base) for base in node.bases}
                found += [(path.name, node.name, base) for base in bases & compiled]
    assert found == []


@pytest.mark.parametrize("file", FILES, ids=str)
def test_no_two_exceptions_of_a_function_share_a_name(file: Path) -> None:
    """mypyc gives a name one type in a function, that of its first `except`; others fail."""
    for function in ast.walk(parsed(file)):
        if not isinstance(function, ast.FunctionDef):
            continue
        kinds: dict[str, list[str]] = defaultdict(list)
        for handler in ast.walk(function):
            if isinstance(handler, ast.ExceptHandler) and handler.name and handler.type:
                kinds[handler.name].append(ast.unparse(handler.type))
        for name, found in kinds.items():
            whatever = found[0] in ("BaseException", "Exception")
            assert whatever or len(set(found)) == 1, (function.name, name, found)


@pytest.mark.parametrize("file", FILES, ids=str)
def test_no_dataclass_is_made_anew_for_its_slots(file: Path) -> None:
    """`dataclass(slots=True)` makes a second class, and compiled methods are the first one's."""
    for made in ast.walk(parsed(file)):
        if isinstance(made, ast.ClassDef):
            assert not any("slots=True" in ast.unparse(by) for by in made.decorator_list), made.name


@pytest.mark.parametrize("file", FILES, ids=str)
def test_causes_are_set_and_not_only_named_behind_from(file: Path) -> None:
    """mypyc leaves out what stands behind `from`."""
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Raise) and node.cause is not None:
            said, cause = ast.unparse(node.exc or node), ast.unparse(node.cause)
            assert said.startswith("because(") or cause == f"{said}.__cause__", ast.unparse(node)
