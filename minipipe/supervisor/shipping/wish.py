"""What the user wishes to be shipped: the option `ship` of `run`, and which values it can have."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

from minipipe.errors import OptionError

# True: what functors need; False: nothing; otherwise this in addition: names of modules or paths.
Wish = bool | tuple[str, ...]


def check_ship(ship: Any) -> Wish:
    """The option `ship` of `run`, as it should be.

    Args:
        ship: True, False, or modules, names of modules, and paths of files and directories.

    Raises:
        OptionError: it is something else.
    """
    if isinstance(ship, bool):
        return ship
    if isinstance(ship, str | bytes | os.PathLike | ModuleType):
        raise _refused(ship, f", in a list: ship=[{_shown(ship)}]")
    if not isinstance(ship, list | tuple | set | frozenset):
        raise _refused(ship)
    return tuple(map(_name, ship))


def _name(one: Any) -> str:
    if isinstance(one, ModuleType):
        if one.__name__ in ("__main__", "__mp_main__"):
            raise OptionError("ship of run names the script itself, which is shipped anyway")
        return one.__name__
    if isinstance(one, os.PathLike):
        return os.path.abspath(os.fsdecode(one))  # (a name alone would be a module's)
    if isinstance(one, str) and one and "\0" not in one:
        return one
    raise _refused(one)


def _shown(one: Any) -> str:
    return one.__name__ if isinstance(one, ModuleType) else repr(one)


def _refused(got: Any, more: str = "") -> OptionError:
    return OptionError(
        "ship of run is True (what functors need of your own code), False (nothing), or a list of "
        f"what is shipped beside that: modules, files, directories{more}, got {got!r}"
    )
