"""Source lines of cells, which only the caller has."""

from __future__ import annotations

import linecache
from collections.abc import Iterator

import pytest

from minipipe.process.source_lines import with_source_lines

CELL = "/tmp/kernel_1/2.py"


@pytest.fixture(autouse=True)
def cell() -> Iterator[None]:
    lines = ["def f(x):\n", "    return 1 / x\n"]
    linecache.cache[CELL] = (len("".join(lines)), None, lines, CELL)
    yield
    del linecache.cache[CELL]


def test_a_frame_without_its_line_gets_it() -> None:
    trace = (
        "Traceback (most recent call last):\n"
        f'  File "{CELL}", line 2, in f\n'
        '  File "/usr/lib/x.py", line 7, in g\n'
        "    has(its, line)\n"
        "    ~~~^^^^^^^^^^^\n"
        '  File "<string>", line 1, in <module>\n'
        f'  File "{CELL}", line 9, in beyond\n'
        "ZeroDivisionError: division by zero\n"
    )
    assert with_source_lines(trace) == trace.replace(
        "line 2, in f\n", "line 2, in f\n    return 1 / x\n"
    )


def test_what_is_no_traceback_stays_as_it_is() -> None:
    for text in ("", "\n\n", "ValueError: no", f'File "{CELL}", line 2'):
        assert with_source_lines(text) == text
