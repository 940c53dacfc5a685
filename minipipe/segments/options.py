"""The options that the user writes, checked where they are written."""

from __future__ import annotations

import inspect
import operator
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from minipipe.errors import OptionError
from minipipe.synonyms import names_for

MAX_THREADS = 64  # of one worker: as many have a place behind its status page


def check_processes(n_processes: object, where: str) -> int:
    """`n_processes` if it is a whole number of at least 1.

    Raises:
        OptionError: it is not.
    """
    return check_count(n_processes, "n_processes", where, 1)


def check_buffer(buffer_size: object, where: str) -> int | None:
    """`buffer_size` if it is None (automatic) or a whole number of at least 1.

    Raises:
        OptionError: it is not.
    """
    if buffer_size is None:
        return None
    if isinstance(buffer_size, bool) or not isinstance(buffer_size, int) or buffer_size < 1:
        raise OptionError(
            f"buffer_size of {where} is how many items may wait for each worker, at least 1 "
            f"(or None: automatic), got {buffer_size!r}"
        )
    return buffer_size


def check_threads(value: object, where: str, *, stateless: bool) -> int:
    """`threads` if it is a whole number from 1 to 64, and this segment can have several.

    Raises:
        OptionError: it is not, or cannot.
    """
    threads = check_count(value, "threads", where, 1)
    if threads > MAX_THREADS:
        raise OptionError(
            f"threads of {where} is at most {MAX_THREADS}, got {threads}: give it n_processes, too"
        )
    if threads > 1 and not stateless:
        raise OptionError(
            f"threads makes no sense for {where}: its functor is an object that keeps state, which "
            "several threads would change at once; restart=True says that each item stands alone "
            "for it"
        )
    return threads


def check_flag(value: object, option: str, where: str) -> bool:
    """`value` if it is True or False.

    Raises:
        OptionError: it is not.
    """
    if not isinstance(value, bool):
        raise OptionError(f"{option} of {where} is True or False, got {value!r}")
    return value


def check_count(value: object, option: str, where: str, least: int, most: int | None = None) -> int:
    """`value` if it is a whole number of at least `least`, and of at most `most`.

    Raises:
        OptionError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OptionError(
            f"{option} of {where} is a whole number of at least {least}, got {value!r}"
        )
    if most is not None and value > most:
        raise OptionError(f"{option} of {where} is at most {most}, got {value!r}")
    return value


def check_seconds(value: object, option: str, where: str) -> float | None:
    """`value` if it is None or a positive number of seconds.

    Raises:
        OptionError: it is not.
    """
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < float(value) < float("inf"):  # type: ignore[arg-type]
        raise OptionError(f"{option} of {where} is a positive number of seconds, got {value!r}")
    return float(value)  # type: ignore[arg-type]


def check_budget(value: object, where: str) -> int | float | None:
    """`max_failures` if it is None, a number of failures, or a share of the items.

    Raises:
        OptionError: it is not.
    """
    if value is None:
        return None
    if not isinstance(value, bool):
        if isinstance(value, int) and value >= 0:
            return value
        if isinstance(value, float) and 0.0 < value < 1.0:
            return value
    raise OptionError(
        f"max_failures of {where} is how many items may fail (a whole number of at least 0), or "
        f"which share of them (between 0 and 1, such as 0.01), got {value!r}"
    )


def check_path(value: object, option: str, where: str) -> str | None:
    """`value` as a whole path, if it is the path of a file, or None.

    Raises:
        OptionError: it is not.
    """
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike) or not isinstance(path := os.fspath(value), str):
        raise OptionError(f"{option} of {where} is the path of a file, got {value!r}")
    return os.path.abspath(path)


def check_choice(value: object, option: str, where: str, choices: Sequence[str]) -> str:
    """`value` if it is one of `choices`.

    Raises:
        OptionError: it is not.
    """
    if not isinstance(value, str) or value not in choices:
        known = " or ".join(map(repr, choices))
        raise OptionError(f"{option} of {where} is {known}, got {value!r}")
    return value


def check_ignored(classes: Any, where: str) -> tuple[type[BaseException], ...]:
    """`ignore_exceptions` as a tuple.

    Raises:
        OptionError: something in it is no exception class.
    """
    if classes is None:
        return ()
    if not isinstance(classes, type) and (
        isinstance(classes, str) or not isinstance(classes, Iterable)
    ):
        raise OptionError(f"ignore_exceptions of {where} lists exception classes, got {classes!r}")
    listed_classes = (classes,) if isinstance(classes, type) else tuple(classes)
    for cls in listed_classes:
        if not (isinstance(cls, type) and issubclass(cls, BaseException)):
            raise OptionError(f"ignore_exceptions of {where} lists exception classes, got {cls!r}")
    return listed_classes


def check_env(env: Any, where: str) -> dict[str, str]:
    """`env` as a dict.

    Raises:
        OptionError: it does not map texts to texts, or a name cannot be one.
    """
    for key, value in dict(env or {}).items():
        texts = isinstance(key, str) and isinstance(value, str)
        if not texts or not key or "=" in key or "\0" in key + value:
            raise OptionError(f"env of {where} maps texts to texts, got {key!r}: {value!r}")
    return dict(env or {})


def check_seed(seed: Any, where: str, otherwise: str = "that of the worker") -> int | None:
    """`seed` as an int, if it is a whole number of at least 0, also one of NumPy's; or None.

    Args:
        otherwise: what None stands for.

    Raises:
        OptionError: it is neither.
    """
    if seed is None:
        return None
    try:
        number = -1 if isinstance(seed, bool) else operator.index(seed)
    except TypeError:
        number = -1
    if number < 0:
        raise OptionError(
            f"seed of {where} is a whole number of at least 0 (or None: {otherwise}), got {seed!r}"
        )
    return number


def reject_synonyms(
    function: Callable[..., Any], args: Sequence[Any], named: Iterable[str], where: str
) -> None:
    """Raises `OptionError` if `function` lacks an argument that was given by another name.

    (Else Python would say that it is missing, and nothing of what was given in its place.)

    Args:
        args: those given by position, without `self`.
        named: the names of the others.
    """
    parameters = list(inspect.signature(function).parameters.values())[len(args) + 1 :]
    missing = [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in named
    ]
    for word in named:
        for name in names_for(word, missing):
            raise OptionError(f"{where} needs {name!r}; did you mean that by {word!r}?")
