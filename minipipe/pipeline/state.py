"""Where a pipeline is, as plain values, so that another run of it can go on from there.

A state is small: the pass, how many items of it were delivered, which these were, the seed. What
was delivered is not made again where its Sources can go past it; else all is made once more, and
left out in the loop.
"""

from __future__ import annotations

from typing import Any

from minipipe.errors import StateError
from minipipe.graph import Graph
from minipipe.graph.resuming import ResumePlan, facts_of, resume_plan
from minipipe.protocol.delivery.numbering import MOST_PASSES, first_of
from minipipe.protocol.run.beginning import Beginning, Progress
from minipipe.protocol.states import checked_format, not_whole

FORMAT, VERSION = "minipipe pipeline", 1

_MIDDLE = "no run can go on in the middle of a pass of this pipeline"


def to_dict(graph: Graph, progress: Progress, seed: int | None, *, inline: bool) -> dict[str, Any]:
    """The state as plain values, which `torch.save`, pickle and JSON take.

    Raises:
        StateError: no run could go on from here; it says what to do.
    """
    at, plan = progress.at, resume_plan(graph)
    state: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "pipeline": facts_of(graph),
        "inline": inline,
        "seed": seed,
        "pass": at.pass_,
        "delivered": None,
    }
    if progress.is_over or not at.delivered:
        return state
    _check_can_go_on(plan, seed, inline=inline)
    numbers = at.numbers if plan.at_source and not inline else {}
    return {
        **state,
        "delivered": at.delivered,
        "numbers": {name: [list(run) for run in runs] for name, runs in numbers.items()},
        "by_position": at.by_position,
        "drawn": at.drawn,
    }


def _check_can_go_on(plan: ResumePlan, seed: int | None, *, inline: bool) -> None:
    """Sees that a pass of such a pipeline can be gone on with in the middle.

    Raises:
        StateError: it cannot.
    """
    if plan.why_not:
        raise StateError(f"{_MIDDLE}: {plan.why_not}")
    if seed is None and (plan.needs_seed or inline):
        raise StateError(
            f"{_MIDDLE} without a seed, as what it draws at random would be other numbers: write "
            "pline.run(seed=7), or minipipe.torch.loader(pline, seed=7)"
        )


def from_dict(state: Any, graph: Graph, *, inline: bool) -> tuple[Beginning, int | None]:
    """Where a run of this graph is to begin, and its seed.

    Raises:
        StateError: it is no state, not all of one, or that of another pipeline; both sides are
            named.
    """
    checked_format(state, FORMAT, VERSION, "pipeline")
    try:
        _check_same(state["pipeline"], facts_of(graph))
        pass_, delivered, seed = state["pass"], state["delivered"], state["seed"]
        _check_numbers(pass_, *(n for n in (delivered, seed) if n is not None))
        if pass_ >= MOST_PASSES:
            raise ValueError(f"pass {pass_!r:.80}")
        if delivered is None:
            return Beginning(pass_), seed
        _check_can_go_on(resume_plan(graph), seed, inline=inline)
        where = {True: "inline", False: "in worker processes"}
        if state["inline"] is not inline:
            raise StateError(
                f"the state is that of a pipeline that ran {where[state['inline']]}, and this one "
                f"runs {where[inline]}: the numbers of its items would be others"
            )
        numbers = {
            str(name): tuple((first, stop) for first, stop in runs)
            for name, runs in state["numbers"].items()
        }
        for runs in numbers.values():
            _check_numbers(*(n for run in runs for n in run))
            bounds = [bound for run in runs for bound in run]
            if bounds != sorted({*bounds}) or max(bounds, default=0) > first_of(1):
                raise ValueError(f"numbers {list(runs)!r:.80}")
        drawn = state["drawn"]
        _check_numbers(*(n for n in (drawn,) if n is not None))
        return Beginning(pass_, delivered, numbers, bool(state["by_position"]), drawn), seed
    except StateError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise not_whole(error) from error


def _check_numbers(*numbers: Any) -> None:
    for number in numbers:
        if type(number) is not int or number < 0:
            raise ValueError(f"a whole number was expected, got {number!r:.80}")


def _check_same(theirs: Any, ours: list[dict[str, Any]]) -> None:
    """Sees that a state is of the same pipeline.

    Raises:
        StateError: it is not; the first difference is named.
    """
    there = [facts["segment"] for facts in theirs]
    here = [facts["segment"] for facts in ours]
    if there != here:
        raise StateError(
            f"the state is that of a pipeline of {', '.join(there)}, and this one has "
            f"{', '.join(here)}"
        )
    for their_facts, our_facts in zip(theirs, ours, strict=True):
        for name in {**their_facts, **our_facts}:
            value, own = their_facts.get(name), our_facts.get(name)
            if value != own:
                raise StateError(
                    f"the state is that of a pipeline whose {our_facts['segment']} has "
                    f"{name}={value!r}, and that of this one has {name}={own!r}"
                )


def seed_of(given: int | None, state_seed: int | None) -> int | None:
    """The seed of the run that goes on from a state.

    Raises:
        StateError: another one was given.
    """
    if given is not None and given != state_seed:
        raise StateError(
            f"the state is that of a run with seed={state_seed}, and this one is to have "
            f"seed={given}: its random numbers would be others"
        )
    return state_seed
