"""`run(worker_init=...)`: what can be called in each worker before its functor is made."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, cast

from minipipe.errors import OptionError

WorkerInit = Callable[[], object]
_MEANT = "a function without arguments that each worker's process calls before its functor is made"


def check_worker_init(function: Any) -> WorkerInit | None:
    """The function, as it should be; None if there is none.

    Raises:
        OptionError: it cannot be called, not without arguments, or a call of it would do nothing.
    """
    if function is None:
        return None
    if not callable(function):
        raise OptionError(f"worker_init of run is {_MEANT}, got {function!r}")
    is_method_of = None if isinstance(function, type) else type(function).__call__
    for call in (function, is_method_of):
        kind = _kind_of_lazy(call)
        if kind:
            raise OptionError(
                f"worker_init of run is {_MEANT}, got {function!r}, which is {kind} function: a "
                "call of it does nothing of what is in it"
            )
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return cast("WorkerInit", function)  # some builtins have none
    try:
        signature.bind()
    except TypeError as error:
        name = getattr(function, "__qualname__", repr(function))
        raise OptionError(
            f"worker_init of run is called without arguments, which {name}{signature} cannot be "
            f"({error}): mp.get_worker_info() says which worker it is in; bind what else it takes "
            "by functools.partial"
        ) from None
    return cast("WorkerInit", function)


def _kind_of_lazy(function: Any) -> str:
    """What kind of function it is, if a call of it only makes something that is still to run."""
    if inspect.iscoroutinefunction(function):
        return "an async"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return "a generator"
    return ""
