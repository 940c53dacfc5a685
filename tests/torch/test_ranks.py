"""Who reads another rank's part of the data is told so."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

import minipipe as mp

torch = pytest.importorskip("torch")

from torch.utils.data import DistributedSampler  # noqa: E402

from minipipe.torch import loader, ranks  # noqa: E402
from minipipe.torch.ranks import Part, disagreement  # noqa: E402


def test_what_is_wrong_with_each_part_of_up_to_six_ranks() -> None:
    for world in range(1, 7):
        for of in range(1, 7):
            sharers = [
                [disagreement(Part("x", p, of), r, world) for p in range(of)] for r in range(world)
            ]
            fits = [[said is None for said in parts] for parts in sharers]
            if world % of:
                assert not any(map(any, fits))
            elif world == of:
                assert fits == [[r == p for p in range(of)] for r in range(world)]
            else:  # several ranks hold one model: which of them read which part is theirs to say
                assert all(map(all, fits))


@pytest.fixture
def as_rank_1_of_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "_told", set())
    for name, value in (("is_initialized", True), ("get_rank", 1), ("get_world_size", 2)):
        monkeypatch.setattr(torch.distributed, name, lambda value=value: value)


@pytest.mark.usefixtures("as_rank_1_of_2")
def test_a_loader_of_another_ranks_part_warns_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for i in range(4):
        (tmp_path / f"{i}").touch()

    def files(**about: Any) -> Any:
        pline = mp.PipeLine([mp.Files(f"{tmp_path}/*", **about)])
        return loader(pline.build(inline=True, log_lvl="WARNING"))

    def samples(rank: int) -> Any:
        return loader(range(4), sampler=DistributedSampler(range(4), num_replicas=2, rank=rank))

    with caplog.at_level(logging.WARNING, "minipipe"):
        for right in (files(), files(shard=(1, 2)), samples(1), loader(range(4))):
            assert len(list(right)) in (2, 4)
        assert caplog.messages == []
        for wrong in (files(shard=(0, 2)), samples(0)):
            for _ in range(2):
                assert len(list(wrong)) == 2
    assert [text.partition(", and this is rank 1 of 2")[0] for text in caplog.messages] == [
        "Files 'Files' reads the part of rank 0 of 2",
        "the DistributedSampler reads the part of rank 0 of 2",
    ]
