"""The share of one of several workers of a Source: how its functor comes by it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from minipipe.errors import OptionError

WORKER, N_WORKERS = "worker", "n_workers"


class Share(NamedTuple):
    """Which of how many workers of a Source it is."""

    worker: int = 0
    n_workers: int = 1


ALONE = Share()


def takes_share(functor: Any) -> bool:
    """Whether what a Source calls of it has the parameters `worker` and `n_workers`."""
    function = functor
    if isinstance(functor, type):  # made in the worker
        name = "run" if hasattr(functor, "run") else "__call__"
        function = inspect.getattr_static(functor, name, None)
    elif callable(getattr(functor, "run", None)):
        function = functor.run
    if not callable(function):
        return False
    try:
        parameters = inspect.signature(function).parameters
    except (ValueError, TypeError):
        return False  # some builtins have none
    positional_only = inspect.Parameter.POSITIONAL_ONLY
    return all(
        name in parameters and parameters[name].kind is not positional_only
        for name in (WORKER, N_WORKERS)
    )


def share_kwargs(function: Callable[..., Any], share: Share) -> Mapping[str, Any]:
    """What a Source's function is called with: its share, if it takes one."""
    return share._asdict() if takes_share(function) else {}


def check_share(functor: Any, n_processes: int, where: str) -> None:
    """Checks that several workers of a Source would not yield the same items each.

    Raises:
        OptionError: they would.
    """
    if n_processes == 1 or takes_share(functor):
        return
    raise OptionError(
        f"{where} with n_processes={n_processes}: each of its workers would yield all of its "
        f"items. Let its functor take `{WORKER}, {N_WORKERS}` and yield a share, as in `def "
        f"load({WORKER}, {N_WORKERS}): yield from files[{WORKER}::{N_WORKERS}]`; or let it yield "
        "cheap things (file names, indices) in one process and do the work in a Transform behind "
        "it, with n_processes there"
    )
