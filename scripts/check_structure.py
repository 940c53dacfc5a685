"""The structure of the package, checked: no circle of imports, no large file, no large class.

A circle counts when it runs through imports for typing, too: who has to read one of its files has
to read them all. A file of more than 300 lines has two subjects, and so has a class of more than
20 public methods.

    python scripts/check_structure.py
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp

PACKAGE = "minipipe"
MAX_LINES = 300
MAX_PUBLIC_METHODS = 20


def circles(graph: grimp.ImportGraph) -> Iterator[list[str]]:
    """Yields the modules of each circle (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    for root in sorted(graph.modules):
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        work = [(root, iter(sorted(graph.find_modules_directly_imported_by(root))))]
        while work:
            module, imported = work[-1]
            for other in imported:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    work.append(
                        (other, iter(sorted(graph.find_modules_directly_imported_by(other))))
                    )
                    break
                if other in stack:
                    low[module] = min(low[module], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[module])
                if low[module] == index[module]:
                    found = stack[stack.index(module) :]
                    del stack[stack.index(module) :]
                    if len(found) > 1:
                        yield sorted(found)


def room_circles(graph: grimp.ImportGraph) -> Iterator[list[str]]:
    """Yields the circles between the folders of the package."""
    rooms = grimp.ImportGraph()
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            ours, theirs = (name.split(".")[1] if "." in name else "" for name in (module, other))
            if ours and theirs and ours != theirs:
                rooms.add_import(importer=ours, imported=theirs)
    yield from circles(rooms)


def large(path: Path) -> Iterator[str]:
    """Yields what is too large in a file."""
    text = path.read_text()
    lines = text.count("\n")
    if lines > MAX_LINES:
        yield f"{path}: {lines} lines, of {MAX_LINES} at most: it has two subjects"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            methods = [
                child.name
                for child in node.body
                if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
                and not child.name.startswith("_")
            ]
            if len(methods) > MAX_PUBLIC_METHODS:
                yield (
                    f"{path}:{node.lineno}: class {node.name} has {len(methods)} public methods, "
                    f"of {MAX_PUBLIC_METHODS} at most"
                )


def main() -> int:
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=False, cache_dir=None)
    faults = [f"a circle of imports: {', '.join(found)}" for found in circles(graph)]
    faults += [f"a circle of folders: {', '.join(found)}" for found in room_circles(graph)]
    faults += [fault for path in sorted(Path(PACKAGE).rglob("*.py")) for fault in large(path)]
    for fault in faults:
        print(fault, file=sys.stderr)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
