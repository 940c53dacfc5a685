"""What is shipped of the user's code to other hosts, and what is said of the rest."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from minipipe.errors import OptionError, StartError
from minipipe.protocol.hosts import shipment as wire
from minipipe.protocol.hosts.shipment import Entry
from minipipe.supervisor.shipping import collect as collecting
from minipipe.supervisor.shipping import own_code
from minipipe.supervisor.shipping import shipment as packing
from minipipe.supervisor.shipping.collect import collect
from minipipe.supervisor.shipping.shipment import Shipment
from minipipe.supervisor.shipping.wish import Wish, check_ship
from minipipe.worker.unpacking import Unpacker

Write = Callable[..., Path]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory that the script is in; what is imported from there is forgotten again."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.syspath_prepend(home)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield home
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(directory: Path, **texts: str) -> None:
    """Writes modules: `a__b="..."` is `a/b.py`, and `a__INIT` what makes `a` a package."""
    for name, text in texts.items():
        parts = name.replace("INIT", ".init.").split("__")
        path = directory.joinpath(*parts[:-1], f"{parts[-1].replace('.', '__')}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    importlib.invalidate_caches()


def git(directory: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(directory), *words], check=True, capture_output=True)


def of(
    home: Path,
    *modules: str,
    ship: Wish = True,
    script: str | None = "train.py",
    path: Sequence[Path] = (),
) -> Shipment:
    entries = [str(home), *map(str, path), *(one for one in sys.path if "site-packages" in one)]
    file = None if script is None else str(home / script)
    return collect(modules, ship, script=file, cwd=str(home), path=entries)


def names(shipment: Shipment) -> list[str]:
    return sorted(file.path for file in shipment.manifest.files)


def test_what_modules_import_of_the_users_travels_too(home: Path) -> None:
    write(
        home,
        train="import mine.loading",
        mine__INIT="",
        mine__loading="from . import images\nimport json, numpy",
        mine__images="def late():\n    import mine.sub.tables\n    import_module('dyn')",
        mine__sub__INIT="",
        mine__sub__tables="from helper import *\nfrom ..images import late",
        helper="",
        dyn="",
        unrelated="",
    )
    importlib.import_module("mine.loading")
    shipment = of(home, "mine.loading", "numpy.linalg", "json")
    inner = ("__init__", "images", "loading", "sub/__init__", "sub/tables")
    assert names(shipment) == [
        *("0/dyn.py", "0/helper.py"),
        *(f"0/mine/{name}.py" for name in inner),
        "0/train.py",
    ]
    assert shipment.manifest.entries == (Entry("0"),)
    assert shipment.manifest.left_out == {}
    assert f"shipped to other hosts: 8 files (0.2 KiB) of your code, from {home}" in str(shipment)


def test_all_that_git_tracks_travels_and_what_is_imported_is_named(home: Path) -> None:
    write(home, train="import mine", mine="import generated", generated="", plugin="", junk="")
    write(home, docs__conf="", deleted="")
    git(home, "init", "-q")
    (home / ".gitignore").write_text("generated.py\n")
    git(home, "add", "train.py", "mine.py", "plugin.py", "docs", "deleted.py")
    (home / "deleted.py").unlink()
    shipment = of(home, "mine")
    assert names(shipment) == [
        f"0/{name}.py" for name in ("docs/conf", "generated", "mine", "plugin", "train")
    ]
    assert "generated.py too, which git does not track, as it is imported" in str(shipment)


def test_a_project_is_one_work_tree_wherever_the_script_lies(home: Path) -> None:
    write(home, scripts__train="", src__mine__INIT="", src__mine__data="")
    git(home, "init", "-q")
    git(home, "add", ".")
    here = home / "scripts"
    path = [str(here), str(home / "src")]
    shipment = collect(["mine.data"], script=str(here / "train.py"), cwd=str(here), path=path)
    assert names(shipment) == [
        *("0/scripts/train.py", "0/src/mine/__init__.py", "0/src/mine/data.py")
    ]
    assert shipment.manifest.entries == (Entry("0/scripts"), Entry("0/src"))


def test_a_work_tree_of_which_nothing_is_imported_stays(home: Path, tmp_path: Path) -> None:
    write(home, train="import mine", mine="")
    write(home / "other", stranger="")
    git(home, "init", "-q")
    git(home, "add", "mine.py", "other")
    path = [str(home / "other"), str(tmp_path / "site-packages")]
    shipment = collect([], script=str(home / "train.py"), cwd=str(home), path=path)
    assert names(shipment) == ["0/train.py"]


def test_no_directory_is_searched_that_git_does_not_know(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, mine="", other="", deep__other="")

    def search(*_: object) -> None:
        raise AssertionError("searched")

    for name in ("walk", "scandir", "listdir"):
        monkeypatch.setattr(os, name, search)
    assert names(of(home, "mine")) == ["0/mine.py"]


def test_namespace_packages_and_modules_of_any_depth(home: Path) -> None:
    write(home, space__one__two="from space.one import three", space__one__three="")
    importlib.import_module("space.one.two")
    assert names(of(home, "space.one.two")) == ["0/space/one/three.py", "0/space/one/two.py"]


def test_a_script_in_a_package_finds_its_neighbours(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, pkg__INIT="", pkg__train="from . import near\nfrom ..x import y", pkg__near="")
    monkeypatch.setattr(sys.modules["__main__"], "__package__", "pkg")
    shipment = of(home, script="pkg/train.py")
    assert names(shipment) == ["0/pkg/__init__.py", "0/pkg/near.py", "0/pkg/train.py"]


def test_a_notebook_ships_what_its_functions_import(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, late="import later", later="", other="")
    namespace: dict[str, object] = {}
    source = "class C:\n    def m(self):\n        def inner():\n            import late\n"
    exec(source, namespace)
    monkeypatch.setitem(vars(sys.modules["__main__"]), "C", namespace["C"])
    assert names(of(home, script=None)) == ["0/late.py", "0/later.py"]


def test_what_is_installed_or_minipipe_itself_stays(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        home, **{"env__site-packages__lib": "", "mine": "import lib, minipipe.errors", "mp__x": ""}
    )
    monkeypatch.syspath_prepend(home / "env/site-packages")
    monkeypatch.setattr(own_code, "_PACKAGE", str(home / "mp"))
    git(home, "init", "-q")
    git(home, "add", "-f", ".")
    importlib.import_module("lib")
    shipment = of(home, "mine", "lib", "minipipe.errors", path=[home / "env/site-packages"])
    assert names(shipment) == ["0/mine.py"]
    assert shipment.manifest.left_out == {}


def test_what_lies_elsewhere_or_is_compiled_is_said(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "lib", other__INIT="import other.inner", other__inner="")
    write(home, mine="import other, quick")
    (home / "quick.so").write_bytes(b"")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    importlib.import_module("other")
    quick = type(sys)("quick")
    quick.__file__ = str(home / "quick.so")
    monkeypatch.setitem(sys.modules, "quick", quick)
    shipment = of(home, "mine", "other.inner", path=[tmp_path / "lib"])
    assert names(shipment) == ["0/mine.py"]
    assert shipment.manifest.left_out == {
        "other": f"it lies elsewhere ({tmp_path / 'lib/other/__init__.py'})",
        "quick": f"it is no Python source ({home / 'quick.so'})",
    }
    assert "to be installed there or named in ship=" in str(shipment)


def test_ship_adds_modules_files_and_directories(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lib = tmp_path / "site-packages"
    write(lib, other__INIT="", other__inner="", other__data__none="")
    (lib / "other/notes.txt").write_text("not Python")
    write(home, mine="")
    (home / "conf").mkdir()
    (home / "conf/model.json").write_text("{}")
    (tmp_path / "away/far/__pycache__").mkdir(parents=True)
    (tmp_path / "away/far/__pycache__/x.pyc").write_text("")
    (tmp_path / "away/far/words.txt").write_text("")
    (tmp_path / "away/far/env").mkdir()
    (tmp_path / "away/far/env/pyvenv.cfg").write_text("")
    monkeypatch.syspath_prepend(lib)
    wish = check_ship(["other", "conf/model.json", tmp_path / "away/far"])
    shipment = of(home, "mine", ship=wish, path=[lib])
    assert names(shipment) == [
        *("0/conf/model.json", "0/mine.py"),
        *(f"1/other/{name}.py" for name in ("__init__", "data/none", "inner")),
        "2/far/words.txt",
    ]
    assert shipment.manifest.entries == (Entry("0"), Entry("1"))
    assert shipment.manifest.origins == (str(home), str(lib), str(tmp_path / "away"))


@pytest.mark.parametrize(
    ("wish", "said"),
    (
        ("mine", r"in a list: ship=\['mine'\]"),
        (3, "got 3"),
        ([3], "got 3"),
        (None, "got None"),
        ([""], "got ''"),
    ),
)
def test_a_wish_that_is_none_is_refused(wish: object, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        check_ship(wish)


def test_a_wish_for_what_is_not_there_is_refused(home: Path) -> None:
    assert check_ship([importlib, Path("x")]) == ("importlib", os.path.abspath("x"))
    assert check_ship(True) is True
    with pytest.raises(OptionError, match="no module 'nothing_here' that has a file, and there is"):
        of(home, ship=("nothing_here",))
    with pytest.raises(OptionError, match=r"names '\./nothing', and there is no file or directory"):
        of(home, ship=("./nothing",))


def test_nothing_is_shipped_if_that_is_wished(home: Path) -> None:
    write(home, mine="")
    shipment = of(home, "mine", ship=False)
    assert not shipment.manifest.files and shipment.packed() == b""
    assert shipment.manifest.is_off and "ship=False" in str(shipment)


def test_too_much_is_refused_with_the_largest_files(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MAX_SHIPPED_BYTES", 1000)
    (home / "weights.bin").write_bytes(bytes(3000))
    (home / "small.bin").write_bytes(b"1")
    with pytest.raises(StartError, match=r"2\.9 KiB in 2 files.*largest are .*weights\.bin \(2\.9"):
        of(home, ship=("./weights.bin", "./small.bin"))


def test_of_a_huge_work_tree_goes_what_is_imported(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "MAX_FILES", 3)
    write(home, mine="import near", near="", far="", further="")
    git(home, "init", "-q")
    git(home, "add", ".")
    shipment = of(home, "mine")
    assert names(shipment) == ["0/mine.py", "0/near.py"]
    assert "not all that git tracks, which is 4 files" in str(shipment)


def test_sources_of_any_kind_do_not_stop_a_run(home: Path) -> None:
    write(home, mine="import broken, circle", broken="def (", circle="import mine, circle")
    assert names(of(home, "mine")) == ["0/broken.py", "0/circle.py", "0/mine.py"]


def test_modules_behind_what_is_installed_stay_behind_it(home: Path, tmp_path: Path) -> None:
    write(home, mine="import appended")
    write(home / "more", appended="")
    path = [str(home), str(tmp_path / "site-packages"), str(home / "more")]
    (tmp_path / "site-packages").mkdir()
    shipment = collect(["mine"], script=None, cwd=str(home), path=path)
    assert shipment.manifest.entries == (Entry("0"), Entry("0/more", is_first=False))


def test_a_directory_that_is_a_link_ships_as_what_it_is(home: Path, tmp_path: Path) -> None:
    write(home, mine__INIT="import mine.inner", mine__inner="")
    link = tmp_path / "link"
    link.symlink_to(home)
    shipment = collect(["mine"], script=None, cwd=str(link), path=[""])
    assert names(shipment) == ["0/mine/__init__.py", "0/mine/inner.py"]


_AT_HOME = """
import os, pickle, sys
import minipipe as mp
from minipipe.supervisor.pickling import pickle_functor
from minipipe.supervisor.shipping.collect import collect, script_file
from minipipe.worker.spec import Task
from mine import inner
from near import NEAR

def own(x):
    import late
    return inner.double(x) + late.ONE + NEAR

if __name__ == "__main__":
    tasks = [Task(function, {}, ()) for function in (own, inner.double)]
    pickled = [pickle_functor(mp.Transform(task.functor), task)[0] for task in tasks]
    needed = [name for one in pickled for name in one.modules]
    shipment = collect(needed, ("./src/mine/data.txt",), script=script_file(), cwd=os.getcwd())
    with open(sys.argv[1], "wb") as file:
        pickle.dump((shipment.manifest_bytes, shipment.packed(), pickled), file)
"""
_THERE = """
import pickle, sys
from multiprocessing import get_context
from dataclasses import replace
from minipipe.worker.unpacking import Unpacker

if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        manifest, packed, pickled = pickle.load(file)
    unpacked = Unpacker(sys.argv[2], "gpu-1").unpack(manifest, packed)
    sys.path[:] = unpacked.sys_path(sys.path)
    for one in pickled:
        here = replace(one, main=unpacked.main_of(one.main))
        functor = here.load().functor
        print(functor(10))
    import mine
    print(mine.__file__)
    with get_context("spawn").Pool(1) as pool:
        print(pool.apply(functor, (1,)))
"""


def test_functors_find_what_they_need_where_it_was_unpacked(home: Path, tmp_path: Path) -> None:
    write(home, scripts__train=_AT_HOME, scripts__near="NEAR = 100", scripts__late="ONE = 1")
    data = "open(__file__.replace('inner.py', 'data.txt')).read()"
    write(home, src__mine__INIT="", src__mine__inner=f"def double(x): return int({data}) * x")
    (home / "src/mine/data.txt").write_text("2")
    write(tmp_path, there=_THERE)
    root = Path(collecting.__file__).parents[3]
    sent = tmp_path / "sent"

    def run(cwd: Path, *words: object, path: Sequence[Path] = ()) -> list[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*path, root]))}
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True)
        assert not done.returncode, done.stderr.decode()
        return done.stdout.decode().split()

    run(home, "scripts/train.py", sent, path=[Path("src")])
    home.rename(tmp_path / "gone")
    mine, double, file, spawned = run(tmp_path, "there.py", sent, tmp_path / "code")
    assert (mine, double, spawned) == ("121", "20", "2")
    assert file.startswith(str(tmp_path / "code")) and file.endswith("/0/src/mine/__init__.py")


def test_the_script_has_its_place_and_the_manifest_says_all(home: Path, tmp_path: Path) -> None:
    write(home, train="")
    shipment = of(home)
    unpacker = Unpacker(str(tmp_path / "there"), "gpu-1")
    assert len(unpacker.missing(shipment.manifest)) == 1
    unpacked = unpacker.unpack(shipment.manifest_bytes, shipment.packed())
    script = str(home / "train.py")
    assert unpacked.path_of(script) == f"{unpacked.directory}/0/train.py"
    assert unpacked.path_of(f"{script}x") is unpacked.path_of("/train.py") is None
    assert unpacked.main_of({"__name__": "m"}) == {"__name__": "m"}
    assert wire.read_manifest(shipment.manifest_bytes) == shipment.manifest
