"""Which pipeline of a program is meant."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

import minipipe as mp
from minipipe.command.program import execute, find, split
from minipipe.errors import UsageError


@pytest.fixture
def program() -> ModuleType:
    made = ModuleType("program")
    made.mp = mp  # type: ignore[attr-defined]
    made.train = mp.PipeLine([mp.Source([1])])  # type: ignore[attr-defined]
    made.also = made.train  # type: ignore[attr-defined]
    return made


def test_the_file_and_the_name(tmp_path: Path) -> None:
    assert split("prog.py:pline") == ("prog.py", "pline")
    assert split("prog.py") == ("prog.py", "")
    assert split("prog.py:") == ("prog.py", "")
    odd = tmp_path / "a:b.py"
    odd.write_text("")
    assert split(str(odd)) == (str(odd), "")
    assert split(f"{odd}:pline") == (str(odd), "pline")


def test_the_only_one_needs_no_name_whatever_names_it_has(program: ModuleType) -> None:
    assert find(program, "prog.py", "") is program.train
    assert find(program, "prog.py", "train") is program.train


def test_attributes_of_things_are_found(program: ModuleType) -> None:
    other = ModuleType("other")
    other.inner = program  # type: ignore[attr-defined]
    assert find(other, "prog.py", "inner.train") is program.train
    with pytest.raises(UsageError, match=r"other\.py has no 'inner\.trai'"):
        find(other, "other.py", "inner.trai")


def test_a_name_that_is_none(program: ModuleType) -> None:
    with pytest.raises(UsageError, match=r"did you mean 'train'\? \(prog\.py has 'train', 'also'"):
        find(program, "prog.py", "trian")


def test_one_of_several_must_be_named(program: ModuleType) -> None:
    program.third = mp.PipeLine([mp.Source([1])])
    with pytest.raises(UsageError, match=r"Write prog\.py:NAME \(prog\.py has 'train', 'also', 't"):
        find(program, "prog.py", "")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, "'x' in prog.py is no pipeline, it is of type int"),
        (mp.PipeLine, "it is the class PipeLine"),
        (mp.Source([1]), "it is of type Source"),
        (lambda: None, "it is of type function"),
    ],
)
def test_what_is_no_pipeline(program: ModuleType, value: object, said: str) -> None:
    program.x = value
    with pytest.raises(UsageError) as caught:
        find(program, "prog.py", "x")
    assert said in str(caught.value)
    assert "'train'" in str(caught.value)


def test_a_file_that_is_none_leaves_everything_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "whole.py").write_text("")
    before = sys.modules["__main__"], list(sys.path), list(sys.argv)
    for path, said in (
        ("wole.py", "there is no file 'wole.py'; did you mean 'whole.py'?"),
        ("whole", "did you mean 'whole.py'?"),
        ("absent/whole.py", "nor a directory 'absent'"),
        ("zzz", "it is written prog.py:pline"),
    ):
        with pytest.raises(UsageError) as caught:
            execute(path)
        assert said in str(caught.value)
    assert (sys.modules["__main__"], sys.path, sys.argv) == before
