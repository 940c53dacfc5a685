"""Braces in names."""

from __future__ import annotations

import pytest

from minipipe.sources import braces
from minipipe.sources.braces import expand_braces


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("plain", ["plain"]),
        ("", [""]),
        ("{000..003}.tar", ["000.tar", "001.tar", "002.tar", "003.tar"]),
        ("a{8..10}", ["a8", "a9", "a10"]),
        ("a{08..10}", ["a08", "a09", "a10"]),
        ("{3..1}", ["3", "2", "1"]),
        ("{0..6..3}", ["0", "3", "6"]),
        ("{6..0..3}", ["6", "3", "0"]),
        ("{-1..1}", ["-1", "0", "1"]),
        ("{a,b}{1..2}", ["a1", "a2", "b1", "b2"]),
        ("{train,val-{0..1}}.tar", ["train.tar", "val-0.tar", "val-1.tar"]),
        ("{a,}x", ["ax", "x"]),
        ("{x}", ["{x}"]),
        ("{x}-{1..2}", ["{x}-1", "{x}-2"]),
        ("{}", ["{}"]),
        ("{1..}", ["{1..}"]),
        ("a{b", ["a{b"]),
        ("s3://b/{00..01}/*.tar", ["s3://b/00/*.tar", "s3://b/01/*.tar"]),
    ],
)
def test_names_are_those_of_the_shell(pattern, names) -> None:
    assert expand_braces(pattern) == names


def test_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(braces, "MOST", 100)
    assert len(expand_braces("{0..99}")) == 100
    with pytest.raises(ValueError, match=r"'\{0\.\.100\}' stands for more than 100 names"):
        expand_braces("{0..100}")
