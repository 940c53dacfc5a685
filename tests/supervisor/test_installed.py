"""Which installed packages are imported by modules of the user's, as their source says."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minipipe.supervisor import installed
from minipipe.supervisor.installed import importable_for, installed_for

Write = Callable[[str, str], None]
PACKAGES = ("one", "two", "three", "three.inner", "four")


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Makes a module of the user's; all of PACKAGES are installed, and imported here."""
    packages = tmp_path / "site-packages"
    monkeypatch.syspath_prepend(packages)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def make(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    for name in PACKAGES:
        make(f"site-packages/installed_{name.replace('.', '/')}/__init__.py", "")
    importlib.invalidate_caches()
    for name in PACKAGES:
        importlib.import_module(f"installed_{name}")
    yield make
    for name in set(sys.modules) - before:
        del sys.modules[name]


def found_for(name: str) -> tuple[str, ...]:
    importlib.import_module(name)
    return installed_for([name])


def test_what_is_installed_is_found_as_it_is_named(write: Write) -> None:
    names = ["installed_one", "json", "itertools", "minipipe.demo.digits", "numpy.linalg"]
    importlib.import_module("minipipe.demo.digits")
    assert installed_for(names) == tuple(names)
    assert installed_for(["__main__", "not_there", "installed_one.nor_this"]) == ()


@pytest.mark.parametrize(
    ("text", "found"),
    (
        ("import installed_one as one, installed_two", ("one", "two")),
        ("from installed_three import inner", ("three", "three.inner")),
        ("from installed_one import *", ("one",)),
        ("import installed_three.inner", ("three.inner",)),
        ("try: import not_there\nexcept ImportError: import installed_one", ("one",)),
        ("try: pass\nfinally: import installed_one", ("one",)),
        ("if True: import installed_one\nelse: import installed_two", ("one", "two")),
        ("if not TYPE_CHECKING: import installed_one", ("one",)),
        ("if TYPE_CHECKING: import installed_one\nelse: import installed_two", ("two",)),
        ("if typing.TYPE_CHECKING: import installed_one", ()),
        ("if __name__ == '__main__': import installed_one", ()),
        ("def work():\n    import installed_one", ()),
        ("class Functor:\n    def run(self):\n        import installed_one", ()),
    ),
)
def test_a_module_of_the_users_is_searched_for_what_its_import_imports(
    text: str, found: tuple[str, ...], write: Write
) -> None:
    write("users_own.py", f"import typing\nfrom typing import TYPE_CHECKING\n{text}")
    names = [name for name in found_for("users_own") if name != "typing"]
    assert names == [f"installed_{name}" for name in found]


def test_so_is_what_it_imports_of_the_users_and_what_is_above_it(write: Write) -> None:
    write("users/__init__.py", "import installed_one")
    write("users/deep/__init__.py", "from .. import beside")
    write("users/beside.py", "import installed_two\nfrom .deep import leaf")
    write("users/deep/leaf.py", "import installed_four\nfrom ..last import *")
    write("users/last.py", "from users.deep import leaf")
    found = found_for("users.deep.leaf")
    assert sorted(found) == ["installed_four", "installed_one", "installed_two"]


def test_no_more_of_it_is_read_than_takes_a_moment(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("first.py", "import installed_one, second")
    write("second.py", "import installed_two")
    monkeypatch.setattr(installed, "SOURCE_BYTES", 50)
    assert found_for("first") == ("installed_one", "installed_two")
    monkeypatch.setattr(installed, "SOURCE_BYTES", 40)
    assert found_for("first") == ("installed_one",)


@pytest.mark.parametrize("text", ("no python", "\0", "# coding: nonsense", None))
def test_a_source_that_cannot_be_read_any_more_is_left_out(
    text: str | None, write: Write, tmp_path: Path
) -> None:
    write("users_own.py", "import installed_one")
    importlib.import_module("users_own")
    if text is None:
        (tmp_path / "users_own.py").unlink()
    else:
        (tmp_path / "users_own.py").write_text(text)
    assert installed_for(["users_own", "installed_two"]) == ("installed_two",)
    assert importable_for(["users_own", "installed_two"]) == ("installed_two", "users_own")
