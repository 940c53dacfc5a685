"""What is collected of this host's versions, and which packages modules belong to."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import numpy
import pytest
import zmq

from minipipe.process.versions import packages_of, versions
from minipipe.protocol.hosts.versions import compare
from minipipe.version import __version__


def test_this_host_fits_itself_and_says_what_it_has() -> None:
    ours = versions()
    assert (ours.python, ours.byte_order) == (platform.python_version(), sys.byteorder)
    assert ours.packages["numpy"] == numpy.__version__
    assert ours.packages["minipipe"] == __version__
    assert ours.packages["pyzmq"] == zmq.__version__
    verdict = compare(ours, ours, needed=packages_of(["zmq.sugar"]))
    assert not verdict.refused and "pyzmq" in verdict.table


def test_packages_are_found_by_the_names_of_their_directories(tmp_path: Path) -> None:
    for name in ("Some_Thing-1.2rc1.dist-info", "old-3.4-py3.11.egg-info", "no.dist-info", "x-1"):
        (tmp_path / name).mkdir()
    (tmp_path / "later").mkdir()
    (tmp_path / "later/some.thing-9.dist-info").mkdir()
    found = versions([str(tmp_path), str(tmp_path / "later"), "/nowhere"]).packages
    assert found["some-thing"] == "1.2rc1" and found["old"] == "3.4"
    assert "no" not in found and "x" not in found
    assert found["numpy"] == numpy.__version__


def test_modules_are_of_packages_that_may_be_called_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["numpy.linalg", "zmq", "_pytest.config", "json", "minipipe.errors", "nobodys"]
    assert sorted(packages_of(names)) == ["numpy", "pytest", "pyzmq"]
    here = type(sys)("numpy")
    here.__file__ = "/home/me/numpy/__init__.py"
    monkeypatch.setitem(sys.modules, "numpy", here)
    assert packages_of(["numpy"]) == ()  # the user's own, under that name
    record = tmp_path / "shared-other-1.0.dist-info/RECORD"
    record.parent.mkdir()
    record.write_text("shared/other/x.py,,\n")
    assert packages_of(["shared.other", "shared.mine"], [str(tmp_path)]) == ("shared-other",)
