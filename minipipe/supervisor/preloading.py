"""What zygotes are to import before they fork workers, as far as it is known here."""

from __future__ import annotations

import importlib.util
import os
import pickle
import sys
import tempfile
from collections.abc import Iterable, Sequence

from minipipe.errors import StartError
from minipipe.supervisor.capture import Captured
from minipipe.supervisor.installed import installed_for
from minipipe.worker.plan import Plan
from minipipe.worker.spec import current_directory


def check_found(wanted: Sequence[str]) -> None:
    """Sees that there are modules of these names, without importing any.

    Raises:
        StartError: there is none.
    """
    for name in wanted:
        top = name.partition(".")[0]
        try:
            is_there = top in sys.modules or importlib.util.find_spec(top) is not None
        except (ImportError, ValueError):
            is_there = False
        if not is_there:
            raise StartError(
                f"preload= of run names {name!r}, and there is no module {top!r}: is it installed "
                "here, and in sys.path?"
            )


def plan_of(
    captured: Iterable[Captured], everybodys: Iterable[Captured], wanted: Sequence[str] | None
) -> Plan:
    """What a zygote imports.

    By itself only what is installed, of what functors name and of what their modules import.  What
    the user has named is what a `local_init`, or a constructor, imports: it is not for zygotes
    whose workers have neither, unless nobody has.

    Args:
        captured: the segments that it forks workers for.
        everybodys: all segments.
        wanted: by the user; None: that nothing is imported beforehand.
    """
    mine = [one for one in captured if one.pickled is not None]
    pickled = [one.pickled for one in mine if one.pickled is not None]
    if wanted is None or not pickled:
        return Plan()
    is_for_it = any(map(_begins, mine)) or not any(map(_begins, everybodys))
    return Plan(
        found=installed_for(name for one in pickled for name in one.modules),
        wanted=tuple(wanted) if is_for_it else (),
        main=pickled[0].main,
        sys_path=tuple(sys.path),
        argv=tuple(sys.argv),
        cwd=current_directory(),
    )


def _begins(captured: Captured) -> bool:
    """Whether something of the functor's is called before its first item."""
    functor = captured.payload.functor
    is_made_there = isinstance(functor, type)
    return captured.pickled is not None and (is_made_there or hasattr(functor, "local_init"))


def write(plan: Plan, directory: str) -> str:
    """The file that a zygote reads its plan from, and reads again if it has to begin anew.

    Raises:
        StartError: it cannot be written.
    """
    try:
        fd, path = tempfile.mkstemp(prefix="plan-", dir=directory)
        with os.fdopen(fd, "wb") as file:
            pickle.dump(plan, file, protocol=5)
    except OSError as error:
        raise StartError(f"cannot write to the run's directory {directory!r}: {error}") from error
    return path
