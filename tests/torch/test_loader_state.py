"""The loader of a pipeline goes on where another one was."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

import minipipe as mp
from minipipe.errors import LifecycleError, OptionError, StateError
from tests.torch.functors import drawn_order, sample, text_at_two

torch = pytest.importorskip("torch")

from minipipe.torch import IterablePipe, loader  # noqa: E402

if TYPE_CHECKING:
    from tests.torch.fake_driver import FakeDriver


def pipeline(*, persistent: bool = False, ordered: bool = True) -> mp.PipeLine:
    work = mp.Transform(sample, "sample", n_processes=2, batch=4, ordered=ordered)
    return mp.PipeLine([mp.Source(drawn_order, "order"), work], persistent=persistent)


def shown(batch: Any) -> tuple[Any, ...]:
    x = batch["x"]
    assert isinstance(x, torch.Tensor) and x.shape[1:] == (64, 64)
    return (batch["i"].tolist(), x[:, 0, 0].tolist(), x[:, -1, -1].tolist())


def saved(state: Any) -> Any:
    """Through the form that checkpoints are in."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("persistent", [False, True])
def test_passes_go_on_as_if_nothing_had_been(persistent: bool) -> None:
    whole = loader(pipeline(persistent=persistent), seed=5)
    expected = [[shown(batch) for batch in whole] for _ in range(3)]
    assert len({str(one) for one in expected}) == 3
    if persistent:
        whole.pline.close()

    first = loader(pipeline(persistent=persistent), seed=5)
    got = [[shown(batch) for batch in first]]
    between = saved(first.state_dict())
    assert (between["pass"], between["delivered"]) == (1, None)
    got.append([])
    for batch in first:
        got[-1].append(shown(batch))
        if len(got[-1]) == 2:
            middle = saved(first.state_dict())
            break
    assert (middle["pass"], middle["delivered"], middle["seed"]) == (1, 2, 5)
    assert first.pline.results == {}  # (which waits for the end of a run that was left)
    assert first.state_dict() == middle  # the pass that was left is under way still
    if persistent:
        first.pline.close()

    other = loader(pipeline(persistent=persistent))
    other.load_state_dict(middle)
    assert other.state_dict() == middle
    got[-1] += [shown(batch) for batch in other]
    got.append([shown(batch) for batch in other])
    assert got == expected
    if persistent:
        other.pline.close()
    other.load_state_dict(between)
    assert [shown(batch) for batch in other] == expected[1]
    if persistent:
        other.pline.close()


def test_what_was_copied_ahead_was_not_delivered(driver: FakeDriver) -> None:
    def made() -> Any:
        made = loader(pipeline(), seed=5, prefetch=3)
        made.device = torch.device("cuda:0")  # which is not asked for here, as there may be none
        return made

    expected = [batch["i"].tolist() for batch in made()]
    for stop in (1, len(expected) - 1):
        first = made()
        got = []
        for batch in first:
            got.append(batch["i"].tolist())
            if len(got) == stop:
                state = first.state_dict()
                break
        assert first.pline.results == {}
        assert first.state_dict() == state
        assert state["delivered"] == stop
        other = made()
        other.load_state_dict(state)
        got += [batch["i"].tolist() for batch in other]
        assert got == expected


def test_what_could_not_become_a_tensor_was_not_delivered() -> None:
    made = loader(mp.PipeLine([mp.Source(range(4)), mp.Transform(text_at_two)]), seed=5)
    got = []
    with pytest.raises(mp.MiniPipeError):
        for batch in made:
            got.append(int(batch[0]))
    assert got == [0, 1]
    assert made.state_dict()["delivered"] == 2


def test_a_dataset_of_torchs_has_that_state() -> None:
    def made() -> Any:
        return IterablePipe(pipeline(), seed=5)

    expected = [shown(batch) for batch in made()]
    first = made()
    got = [shown(batch) for _, batch in zip(range(2), first, strict=False)]
    assert first.pline.results == {}
    other = made()
    other.load_state_dict(first.state_dict())
    assert got + [shown(batch) for batch in other] == expected


def test_bad_seeds_states_and_moments_are_named() -> None:
    with pytest.raises(OptionError, match=r"seed of minipipe.torch.loader.*'x'"):
        loader(pipeline(), seed="x")
    with pytest.raises(OptionError, match=r"of a dataset takes no seed.*manual_seed"):
        loader([1, 2, 3], seed=5)
    state = loader(pipeline(), seed=5).state_dict()
    loader(pipeline(), seed=5).load_state_dict(state)
    with pytest.raises(StateError, match=r"a run with seed=5, and this one is to have seed=6"):
        loader(pipeline(), seed=6).load_state_dict(state)
    with pytest.raises(StateError, match=r"of a dataset.*this pipeline reads 'minipipe pipeline'"):
        loader(pipeline()).load_state_dict(loader([1, 2, 3]).state_dict())
    with pytest.raises(StateError, match=r"'minipipe pipeline'.*this loader reads"):
        loader([1, 2, 3]).load_state_dict(state)
    made = loader(mp.PipeLine([mp.Source(drawn_order), mp.Transform(abs)]))
    for _ in made:
        with pytest.raises(LifecycleError, match=r"load_state_dict\(\) while the pipeline is runn"):
            made.load_state_dict(state)
        with pytest.raises(StateError, match=r"minipipe\.torch\.loader\(pline, seed=7\)"):
            made.state_dict()
        break
    assert made.pline.results == {}


def test_a_pass_that_was_stopped_is_gone_on_with() -> None:
    whole = loader(pipeline(), seed=5)
    expected = [[shown(batch) for batch in whole] for _ in range(2)]
    first, got = loader(pipeline(), seed=5), []
    for batch in first:
        got.append(shown(batch))
        first.pline.stop(drain=True)  # as a training process does that is told to end
    state = saved(first.state_dict())
    assert state["pass"] == 0
    other = loader(pipeline())
    other.load_state_dict(state)
    rest = [[shown(batch) for batch in other] for _ in range(2)]
    assert [got + rest[0], rest[1]] == expected


def test_a_state_that_was_refused_changes_nothing() -> None:
    other = loader(pipeline(), seed=5)
    batches = iter(other)
    next(batches)
    state = other.state_dict()
    batches.close()  # its run has ended, and holds no batch for anybody
    made = loader(pipeline(), seed=6)
    with pytest.raises(StateError, match="seed=6"):
        made.load_state_dict(state)
    assert made.state_dict() == loader(pipeline(), seed=6).state_dict()
    fresh = [shown(batch) for batch in loader(pipeline(), seed=6)]
    assert [shown(batch) for batch in made] == fresh
