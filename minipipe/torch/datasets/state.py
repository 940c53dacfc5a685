"""Where a loader is, so that another one can go on from there.

A state is kilobytes: the states of the generators at the beginning of the pass, and how many
batches of it were delivered. The order is drawn again from that, and nothing is fetched that was
delivered before (an iterable dataset has to be gone through).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from minipipe.errors import StateError
from minipipe.protocol.states import checked_format, not_whole
from minipipe.torch.datasets.drawing import Generators, check

FORMAT, VERSION = "minipipe.torch.loader of a dataset", 1


@dataclass
class Progress:
    """How far a pass is.

    Attributes:
        pass_: How many passes were begun before it.
        base_seed: What its workers' seeds started from.
        draws_seed: Whether that was drawn at its beginning, not in an earlier pass.
        epoch: Of its sampler then, if that has one (`set_epoch`).
        began: The generators at its beginning, before anything was drawn for it.
        delivered: How many batches the loop has got.
        is_over: It has come to its end.
    """

    pass_: int
    base_seed: int
    draws_seed: bool
    epoch: int | None
    began: Generators
    delivered: int = 0
    is_over: bool = False


@dataclass(frozen=True)
class Settings:
    """What must be the same for both loaders, else the order would be another one."""

    dataset: str
    length: int | None
    batch_size: int | None
    drop_last: bool
    sampler: str
    sampler_length: int | None
    num_workers: int
    rank: str


_MEANINGS = {
    "dataset": "a dataset of class {}",
    "length": "a dataset of length {}",
    "batch_size": "batch_size={}",
    "drop_last": "drop_last={}",
    "sampler": "a sampler of class {}",
    "sampler_length": "a sampler of length {}",
    "num_workers": "num_workers={}",
    "rank": "rank {}",
}


def to_dict(
    progress: Progress | None, settings: Settings, passes: int, own: bytes | None
) -> dict[str, Any]:
    """Returns the state as plain values, which `torch.save` and pickle take.

    Args:
        progress: Of the pass that is under way, or was the last.
        passes: How many were begun.
        own: The state of the loader's generator now, for the time between passes.
    """
    state: dict[str, Any] = {"format": FORMAT, "version": VERSION, "settings": asdict(settings)}
    if progress is None or progress.is_over:
        return {**state, "pass": passes, "delivered": None, "generator": own}
    return {
        **state,
        "pass": progress.pass_,
        "delivered": progress.delivered,
        "base_seed": progress.base_seed,
        "draws_seed": progress.draws_seed,
        "epoch": progress.epoch,
        "began": tuple(progress.began),
    }


def from_dict(state: Any) -> tuple[int, Progress | None, Any, Settings]:
    """Returns the number of the pass to be made next, how far that is, if it has begun, the state
    of the generator, if not, and the settings.

    Raises:
        StateError: It is no such state, or not all of one.
    """
    checked_format(state, FORMAT, VERSION, "loader")
    try:
        settings = Settings(**state["settings"])
        pass_, delivered = int(state["pass"]), state["delivered"]
        if delivered is None:
            return pass_, None, state["generator"], settings
        progress = Progress(
            pass_,
            int(state["base_seed"]),
            bool(state["draws_seed"]),
            state["epoch"],
            Generators(*state["began"]),
            int(delivered),
        )
        check(progress.began)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise not_whole(error) from error
    return pass_, progress, None, settings


def settings_of(
    dataset: Any, batch_size: int | None, drop_last: bool, sampler: Any, num_workers: int
) -> Settings:
    """Returns what the order of a loader follows from, beside random numbers."""
    inner = getattr(sampler, "sampler", sampler)  # of a BatchSampler
    rank, ranks = getattr(inner, "rank", None), getattr(inner, "num_replicas", None)
    return Settings(
        type(dataset).__qualname__,
        _length_of(dataset),
        batch_size,
        drop_last,
        type(inner).__qualname__,
        _length_of(sampler),
        num_workers,
        "none" if rank is None or ranks is None else f"{rank} of {ranks}",
    )


def _length_of(sized: Any) -> int | None:
    try:
        return len(sized)
    except Exception:  # it has none, or cannot tell
        return None


def check_epoch(there: int | None, here: int | None) -> None:
    """Sees that a sampler is set to the epoch in which the state was taken.

    Raises:
        StateError: It is not.
    """
    if there != here:
        raise StateError(
            f"the state was taken in epoch {there} of the sampler, and that is set to epoch "
            f"{here}: call set_epoch({there}) before the loop"
        )


def check_same(theirs: Settings, ours: Settings, *, counts_workers: bool) -> None:
    """Sees that a loader can go on from a state.

    Args:
        counts_workers: What is delivered depends on how many there are (of an iterable dataset).

    Raises:
        StateError: It cannot; both sides are named.
    """
    for name, meaning in _MEANINGS.items():
        if name == "num_workers" and not counts_workers:
            continue
        there, here = getattr(theirs, name), getattr(ours, name)
        if there != here:
            raise StateError(
                f"the state is that of a loader with {meaning.format(there)}, and this one has "
                f"{meaning.format(here)}: the order of its batches would be another one"
            )
