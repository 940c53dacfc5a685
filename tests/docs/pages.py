"""The pages for users (README and docs/), taken apart: which code they have, and what it prints.

Comments of HTML, which no reader sees, say what is to be done with the block below them:

    <!-- docs: setup           code that is run here, up to the line with the end of the comment
    <!-- docs: raises NAME -->     it ends with this exception
    <!-- docs: as train.py -->     the name of the file that it is run as
    <!-- docs: file NAME -->       it is written to this file, and not run
    <!-- docs: run -->             a block of bash is run; others are not
    <!-- docs: not run: REASON --> it is only parsed
    <!-- docs: page needs torch, sklearn -->   of the whole page: modules that must be there

What a block prints is in the block of text behind it that has `title="prints"`, or
`title="prints, in any order"`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^( *)```(\w*)(.*)$")
_ORDER = re.compile(r"^ *<!-- docs: (.*?)(?: -->)?$")


@dataclass(frozen=True)
class Block:
    """A piece of code, or of text, of a page."""

    line: int
    language: str
    code: str
    orders: tuple[str, ...] = ()  # what the comments above it say
    info: str = ""  # what stands behind the language

    @property
    def file(self) -> str:
        """What it is called in tracebacks."""
        return self.order("as ") or ""

    def order(self, kind: str) -> str | None:
        """What stands behind `kind` in a comment above it; None: there is none."""
        found = (one.removeprefix(kind) for one in self.orders if one.startswith(kind))
        return next(found, None)

    @property
    def is_printed(self) -> bool:
        return 'title="prints' in self.info

    @property
    def is_ordered(self) -> bool:
        return "in any order" not in self.info


def pages() -> list[str]:
    """All of them, by their path from the root."""
    found = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md"))
    return ["README.md", *found]


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks_of(text: str) -> list[Block]:
    """The blocks of a page, and its hidden code, in order."""
    return list(_blocks(text.split("\n")))


def _blocks(lines: list[str]) -> Iterator[Block]:
    number = 0
    orders: tuple[str, ...] = ()
    while number < len(lines):
        line = lines[number]
        number += 1
        if found := _ORDER.match(line):
            orders = (*orders, found[1])
            if found[1] == "setup":
                end = next(n for n in range(number, len(lines)) if lines[n].strip() == "-->")
                yield Block(number + 1, "python", "\n".join(lines[number:end]), ("setup",))
                number, orders = end + 1, ()
        elif found := _FENCE.match(line):
            _, language, info = found.groups()
            begin = number
            while lines[number].strip() != "```":
                number += 1
            code = textwrap.dedent("\n".join(lines[begin:number]))
            if not code.startswith("--8<--"):  # a file, which has tests of its own
                yield Block(begin + 1, language, code, orders, info)
            number, orders = number + 1, ()
        elif line.strip():
            orders = ()


def needs_of(text: str) -> list[str]:
    """Modules without which the code of a page cannot run."""
    found = re.search(r"<!-- docs: page needs (.*?) -->", text)
    return found[1].split(", ") if found else []
