"""Errors of the supervisor itself: the run is stopped, and healthy workers save their work."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import minipipe as mp


class Saves:
    """A sink that leaves a file when its local_term has run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, item: int) -> None:
        pass

    def local_term(self) -> None:
        self.path.touch()


def test_a_dead_letter_file_that_goes_away_ends_the_run_by_a_stop(tmp_path: Path) -> None:
    place, saved = tmp_path / "letters", tmp_path / "saved"
    place.mkdir()

    def dies(item: int) -> int:
        if item == 5:
            shutil.rmtree(place, ignore_errors=True)
            os._exit(1)
        return item

    poison = mp.Transform(dies, poison="skip", dead_letter=place / "bad.letters")
    pline = mp.PipeLine([mp.Source(range(200)), poison, mp.Sink(Saves(saved))])
    with pytest.raises(FileNotFoundError, match=r"bad\.letters") as caught:
        pline.run().close(60)
    assert any("setting aside an item" in note for note in caught.value.__notes__)
    assert saved.exists()
