"""What README and pages say of the command can be typed.

That `minipipe run` of the page on it runs is tests/docs/test_blocks.py.
"""

from __future__ import annotations

import shlex

from minipipe.command.arguments import parsed
from tests.docs.pages import blocks_of, pages, text_of


def lines() -> list[list[str]]:
    shown = [
        line
        for page in pages()
        for block in blocks_of(text_of(page))
        if block.language in ("bash", "sh")
        for line in block.code.splitlines()
    ]
    found = [shlex.split(line, comments=True) for line in shown if line.startswith("minipipe")]
    return [words[1:] for words in found]


def test_every_line_can_be_typed() -> None:
    assert {words[0] for words in lines()} >= {"run", "top", "dead-letters"}
    for words in lines():
        assert parsed(words)[0].command == words[0]
