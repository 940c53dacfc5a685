"""The pages on the code name only what there is; the tables of rooms and records are whole."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import minipipe as mp
from minipipe.stream.records import FORMS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "minipipe"
PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md")

_SPAN = re.compile(r"`([^`\n]+)`")
_FILE = re.compile(r"(?<![\w/.-])[\w./-]+\.py\b")
_FOLDER = re.compile(r"(?:[a-z_]+/)+|(?:tests|minipipe|benchmarks|examples)/[\w/]+")
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?:\(\))?")
# `file.py` (`one`, `another`): these are in that file.
_IN_FILE = re.compile(r"`([\w/]+\.py)` \((`[\w.]+`(?:, `[\w.]+`)*)[,):]")


def text_of(page: str) -> str:
    text = (ROOT / page).read_text(encoding="utf-8")
    return "\n".join(line for line in text.split("\n") if not line.startswith("    make "))


def place_of(path: str) -> Path:
    """Where a path of a page is: below the package, or below the project."""
    inside = PACKAGE / path
    return inside if inside.exists() else ROOT / path


class Known:
    """What a set of files defines: names, and the members of classes."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.members: dict[str, set[str]] = {}
        self._bases: list[tuple[str, str]] = []

    def add(self, tree: ast.Module) -> None:
        for node in tree.body:
            self._add(node)

    def _add(self, node: ast.AST) -> None:
        if isinstance(node, ast.ClassDef):
            self.names.add(node.name)
            members = self.members.setdefault(node.name, set())
            members |= set(_members(node))
            bases = (base for base in node.bases if isinstance(base, ast.Name))
            self._bases += [(node.name, base.id) for base in bases]
            return
        self.names |= set(_bound(node))
        for inner in ast.iter_child_nodes(node):
            if isinstance(node, ast.If | ast.Try) and isinstance(inner, ast.stmt):
                self._add(inner)

    def has(self, name: str) -> bool:
        first, _, rest = name.partition(".")
        return first in self.names if not rest else rest in self._members_of(first)

    def _members_of(self, owner: str) -> set[str]:
        found = set(self.members.get(owner, ()))
        for child, base in self._bases:
            if child == owner and base != owner:
                found |= self._members_of(base)
        return found


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    for target in targets:
        for inner in ast.walk(target) if isinstance(target, ast.AST) else ():
            if isinstance(inner, ast.Name):
                yield inner.id


def _members(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        yield from _bound(statement)
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
            yield inner.attr


@cache
def known_in(path: Path) -> Known:
    known = Known()
    known.add(ast.parse(path.read_text(encoding="utf-8")))
    return known


@cache
def known() -> Known:
    everything = Known()
    for path in PACKAGE.rglob("*.py"):
        everything.add(ast.parse(path.read_text(encoding="utf-8")))
    return everything


def is_there(name: str) -> bool:
    """Whether a dotted name leads to a module, or to something that is defined in the package."""
    if name.startswith("mp."):
        return name.split(".")[1] in mp.__all__
    if known().has(name):
        return True
    parts = name.removeprefix("minipipe.").split(".")
    for length in range(len(parts), 0, -1):
        place = PACKAGE.joinpath(*parts[:length])
        rest = ".".join(parts[length:])
        if place.is_dir() and (not rest or known_in(place / "__init__.py").has(rest)):
            return True
        if place.with_suffix(".py").is_file():
            return not rest or known_in(place.with_suffix(".py")).has(rest)
    return False


def is_of_others(name: str) -> bool:
    """Whether it is Python's, or an attribute of what the text is about (`page.words`)."""
    first = name.split(".")[0]
    return hasattr(builtins, first) or (
        first in sys.stdlib_module_names and not (PACKAGE / first).exists()
    )


def named(page: str) -> Iterator[str]:
    """The names of a page that have dots, or look like a class."""
    for span in _SPAN.findall(text_of(page)):
        name = span.removesuffix("()")
        if not _NAME.fullmatch(span) or name.endswith((".py", ".md", ".toml", ".cfg")):
            continue
        if ("." in name or re.match(r"[A-Z][a-z]+[A-Za-z]*$", name)) and not is_of_others(name):
            yield name


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_folder_that_is_named_exists(page: str) -> None:
    text = text_of(page)
    paths = set(_FILE.findall(text))
    paths |= {span for span in _SPAN.findall(text) if _FOLDER.fullmatch(span)}
    assert paths
    assert [path for path in sorted(paths) if not place_of(path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_class_and_function_that_is_named_exists(page: str) -> None:
    assert [name for name in sorted(set(named(page))) if not is_there(name)] == []


def test_every_link_to_a_section_of_architecture_leads_there() -> None:
    headings = re.findall(r"^## (.*)$", text_of("ARCHITECTURE.md"), re.MULTILINE)
    there = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(#([\w-]+)\)", text_of("ARCHITECTURE.md"))
    for page in ("README.md", *PAGES):
        links += re.findall(r"\]\(ARCHITECTURE\.md#([\w-]+)\)", text_of(page))
    assert len(links) > 10
    assert set(links) - there == set()


def section(title: str) -> str:
    """What stands under a heading of ARCHITECTURE.md."""
    return text_of("ARCHITECTURE.md").split(f"\n## {title}\n")[1].split("\n## ")[0]


def steps() -> list[tuple[str, str, str]]:
    """The way of a batch: number, file, functions."""
    rows = re.compile(r"^\| (\d+) \| `([\w/]+\.py)` \| ([^|]+) \|", re.MULTILINE)
    return rows.findall(section("The way of a batch"))


def test_what_is_said_to_be_in_a_file_is_in_it() -> None:
    pairs = [*_IN_FILE.findall(text_of("ARCHITECTURE.md")), *(row[1:] for row in steps())]
    assert len(pairs) > 40
    wrong = [
        f"{path}: {name}"
        for path, names in pairs
        for name in _SPAN.findall(names)
        if not name.endswith(".py") and not known_in(place_of(path)).has(name)
    ]
    assert wrong == []


def test_every_folder_is_in_the_table_of_rooms() -> None:
    rooms = section("The rooms")
    listed = {
        room.rstrip("/")
        for line in rooms.split("\n")
        if line.startswith("|")
        for room in _SPAN.findall(line.split("|")[2])
    }
    there = {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE}
    there |= {path for path in PACKAGE.glob("*.py") if path.name != "__init__.py"}
    assert {path.relative_to(PACKAGE).as_posix() for path in there} == listed


def test_the_way_of_a_batch_meets_no_file_twice() -> None:
    assert [int(number) for number, _, _ in steps()] == list(range(1, len(steps()) + 1))
    files = [path for _, path, _ in steps()]
    assert len(files) > 10 and len(set(files)) == len(files)


def test_no_change_of_the_table_touches_more_than_two_files() -> None:
    table = section("To change X, touch Y")
    rows = [line for line in table.split("\n") if line.startswith("| ")][1:]
    assert len(rows) > 15
    for row in rows:
        touched = set(_FILE.findall(row.split("|")[2]))
        assert 1 <= len(touched) <= 2, row


def test_every_record_on_the_wire_is_in_the_table() -> None:
    table = section("The records")
    listed = {
        name
        for line in table.split("\n")
        if line.startswith("| ")
        for name in line.split("|")[1].strip().split(", ")
    }
    assert {form.name for form in FORMS.values()} == listed - {"record"}
