"""Every block of Python in README and docs/ runs, and prints what the page says."""

from __future__ import annotations

import ast
import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Block, blocks_of, needs_of, pages, text_of
from tests.docs.play import MARK

_VARYING = (
    (re.compile(r"\d+(\.\d+)? (s|ms|us|MB|GB)\b"), r"N \2"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "DATE"),
    (re.compile(r"pid \d+"), "pid N"),
    (re.compile(r"(worker \S+)/\d+"), r"\1/N"),
    (re.compile(r'File ".*?([\w.-]+)"'), r'File "\1"'),
    (re.compile(r" +"), " "),
)

LIMIT_S = 280  # of a page, generous: reached, it means a deadlock


def without_what_varies(text: str) -> list[str]:
    for pattern, instead in _VARYING:
        text = pattern.sub(instead, text)
    return [line.strip() for line in text.splitlines() if line.strip() not in ("", "...")]


def to_run(blocks: list[Block]) -> list[Block]:
    """Those that are run, or written to a file."""
    return [
        block
        for block in blocks
        if (block.language == "python" and block.order("not run") is None)
        or (block.language == "bash" and block.order("run") is not None)
    ]


def as_step(block: Block) -> dict[str, object]:
    """What tests/docs/play.py takes."""
    return {
        **asdict(block),
        "file": block.file,
        "kept_as": block.order("file "),
        "raises": block.order("raises "),
    }


def missing_lines(shown: str, printed: str, *, ordered: bool = True) -> list[str]:
    """The lines of `shown` that are not in `printed`, or not in this order; "..." is anything."""
    lines = without_what_varies(printed)
    there = iter(lines)
    return [
        line
        for line in without_what_varies(shown)
        if not any(_is(line, it) for it in (there if ordered else lines))
    ]


def _is(line: str, printed: str) -> bool:
    return printed.startswith(line[:-3]) if line.endswith("...") else printed == line


@pytest.mark.parametrize("page", pages())
def test_every_block_of_python_runs_and_prints_what_the_page_says(
    page: str, tmp_path: Path
) -> None:
    text = text_of(page)
    for module in needs_of(text):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{page} needs {module}, which is not installed")
    blocks = blocks_of(text)
    if not (steps := to_run(blocks)):
        return
    script = tmp_path / f"{Path(page).stem}.json"
    script.write_text(json.dumps([as_step(block) for block in steps]))
    done = subprocess.run(
        [sys.executable, "-u", "-m", "tests.docs.play", script],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stdout
    parts = [part.split("\n", 1) for part in done.stdout.split(MARK)[1:]]
    printed = {head.split()[0]: body for head, body in parts}
    for before, block in itertools.pairwise(blocks):
        if block.is_printed:
            output = printed[str(before.line)]
            missing = missing_lines(block.code, output, ordered=block.is_ordered)
            assert missing == [], f"{page}:{block.line}\n{output}"


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    # The command of this very environment, which need not be an activated one.
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PYTHONPATH": path, "PATH": commands, "COLUMNS": "100"}


@pytest.mark.parametrize("page", pages())
def test_what_is_not_run_is_python_and_says_why(page: str) -> None:
    for block in blocks_of(text_of(page)):
        if block.language == "python":
            ast.parse(block.code)
        if (reason := block.order("not run")) is not None:
            assert len(reason.removeprefix(": ")) > 5, f"{page}:{block.line}"


def test_blocks_are_found_with_their_orders_and_hidden_code() -> None:
    page = """
Text, and `code`.

<!-- docs: setup
x = 1
-->

    ```python
    print(x)
    ```

```text title="prints"
1
```

<!-- docs: as one.py -->
<!-- docs: raises ValueError -->
```python
raise ValueError
```
"""
    blocks = blocks_of(page)
    assert [(b.language, b.code, b.orders) for b in blocks] == [
        ("python", "x = 1", ("setup",)),
        ("python", "print(x)", ()),
        ("text", "1", ()),
        ("python", "raise ValueError", ("as one.py", "raises ValueError")),
    ]
    assert blocks[2].is_printed and blocks[3].file == "one.py"


def test_lines_that_are_not_printed_or_not_in_this_order_are_seen() -> None:
    printed = "a\nb took 1.5 s\nc\n"
    assert missing_lines("a\n...\nb took 7 s", printed) == []
    assert missing_lines("a\nb took ...", printed) == []
    assert missing_lines("a\nd", printed) == ["d"]
    assert missing_lines("c\na", printed) == ["a"]
    assert missing_lines("c\na", printed, ordered=False) == []


def test_the_readme_and_the_pages_never_name_the_other_package_as_an_install() -> None:
    for page in pages():
        assert not re.search(r"pip install ['\"]?minipipe", text_of(page)), page
