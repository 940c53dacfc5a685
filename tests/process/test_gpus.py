"""Workers see the GPUs that their segment says, from their first import on."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

import minipipe as mp

VARIABLE = "CUDA_VISIBLE_DEVICES"


class Says:
    """What its worker sees; and what its class's module could have seen when it was imported."""

    def local_init(self) -> None:
        self.seen: set[tuple[int, str | None]] = set()

    def run(self, item: Any) -> None:
        info = mp.get_worker_info()
        assert info is not None
        self.seen.add((info.id, os.environ.get(VARIABLE)))

    def local_term(self) -> set[tuple[int, str | None]]:
        return self.seen


@pytest.fixture(autouse=True)
def three_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "4,5,6")


def test_four_models_have_a_gpu_each_in_turn_and_one_that_says_nothing_sees_all() -> None:
    pline = mp.PipeLine([mp.Source(range(20))])
    models = [mp.Sink(Says(), f"m{i}", gpus=1) for i in range(4)]
    pline.add(mp.Broadcast([*models, mp.Sink(Says(), "cpu", gpus=0), mp.Sink(Says(), "all")]))
    assert pline.run().close() == {
        "m0": {(0, "4")},
        "m1": {(0, "5")},
        "m2": {(0, "6")},
        "m3": {(0, "4")},
        "cpu": {(0, "")},
        "all": {(0, "4,5,6")},
    }
    assert os.environ[VARIABLE] == "4,5,6"


def test_several_models_on_one_gpu() -> None:
    pline = mp.PipeLine([mp.Source(range(20))])
    pline.add(mp.Broadcast([mp.Sink(Says(), name, gpus=[1]) for name in ("a", "b")]))
    assert pline.run().close() == {"a": {(0, "5")}, "b": {(0, "5")}}


def test_workers_of_one_segment_have_theirs_and_so_has_who_takes_their_place(
    tmp_path: Path,
) -> None:
    died = tmp_path / "died"

    def look(item: int) -> tuple[int, str | None]:
        info = mp.get_worker_info()
        assert info is not None
        if info.id == 1 and not died.exists():
            died.touch()
            os.kill(os.getpid(), 9)
        return info.id, os.environ.get(VARIABLE)

    pline = mp.PipeLine([mp.Source(range(10**9))])
    pline.add(mp.Transform(look, gpus=2, n_processes=3, buffer_size=1))
    expected = {(0, "4,5"), (1, "6,4"), (2, "5,6")}
    found = set()
    for one in pline:  # until the replacement has had its turn; never: a deadlock
        found.add(one)
        if found >= expected:
            break
    assert found == expected and died.exists()


def test_it_is_set_before_anything_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an installed module would find it that a zygote imports."""
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages/asks_for_gpus.py").write_text(
        f"import os\nSEEN = os.environ.get({VARIABLE!r})\ndef seen(item): return SEEN\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    import asks_for_gpus  # type: ignore[import-not-found]

    try:
        pline = mp.PipeLine([mp.Source([1]), mp.Transform(asks_for_gpus.seen, gpus=[2])])
        assert list(pline) == ["6"] and asks_for_gpus.SEEN == "4,5,6"
    finally:
        del sys.modules["asks_for_gpus"]


def test_more_than_there_are_is_an_error_before_anything_starts() -> None:
    pline = mp.PipeLine([mp.Source([1]), mp.Transform(abs, "t", gpus=4)])
    with pytest.raises(mp.StartError, match=r"gpus=4 of Transform 't'.*sees 3, 0 to 2"):
        pline.run()


def test_a_functor_that_is_inherited_cannot_have_its_own() -> None:
    generator = (i for i in range(3))
    with pytest.raises(mp.StartError, match=r"forked, and gpus= cannot be set before"):
        list(mp.PipeLine([mp.Source(generator, gpus=1)]))


def test_inline_says_that_it_has_no_effect(caplog: pytest.LogCaptureFixture) -> None:
    pline = mp.PipeLine([mp.Source([1, 2], gpus=7)]).build(inline=True)
    assert "without effect inline: gpus of Source 'Source'" in caplog.text
    assert list(pline) == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, ...",
        "CUDA error: initialization error",
        "cudaErrorInitializationError: initialization error",
    ],
)
def test_cuda_that_does_not_survive_a_fork_is_explained(text: str) -> None:
    def uses_cuda(item: int) -> int:
        raise RuntimeError(text)

    with pytest.raises(RuntimeError) as caught:
        list(mp.PipeLine([mp.Source([1]), mp.Transform(uses_cuda, "on the GPU")]))
    (note,) = caught.value.__notes__
    assert "segment 'on the GPU'" in note and "CUDA does not survive a fork" in note
    assert "local_init" in note and "preload=False" in note
