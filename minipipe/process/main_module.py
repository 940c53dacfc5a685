"""The `__main__` of a worker: that of the script, as far as what came from there needs it."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def about_main() -> dict[str, str]:
    """What makes a worker's `__main__` that of this process, beside what its functor brings."""
    main = sys.modules["__main__"]
    names = ("__name__", "__file__", "__package__", "__doc__")
    about = {name: getattr(main, name, None) for name in names}
    about["__spec__"] = getattr(getattr(main, "__spec__", None), "name", None)
    return {name: value for name, value in about.items() if isinstance(value, str)}


def become_main(about: Mapping[str, str]) -> None:
    """This process's `__main__` is the script's from now on, empty as yet.

    That which a zygote has made for the modules that it has imported is its workers', too.
    """
    global _made
    if _made is not None and _made[0] == about and sys.modules["__main__"] is _made[1]:
        return
    main = ModuleType(about.get("__name__", "__main__"))
    vars(main).update(about, __builtins__=builtins)
    # multiprocessing's spawn goes by it where the script was started by `python -m`.
    name = about.get("__spec__")
    main.__spec__ = None if name is None else ModuleSpec(name, None, origin=about.get("__file__"))
    sys.modules["__main__"] = main
    sys.modules[main.__name__] = main
    _made = about, main


_made: tuple[Mapping[str, str], ModuleType] | None = None


def namespace() -> dict[str, Any]:
    """The namespace of `__main__`. (Pickles refer to it by name.)"""
    return vars(sys.modules["__main__"])


class _Namespace:
    """Stands in a pickle for the namespace of `__main__`, wherever it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return namespace, ()


NAMESPACE = _Namespace()


def join(names: Mapping[str, Any]) -> None:
    """Puts into `__main__` what it does not have under these names."""
    main = namespace()
    for name, value in names.items():
        main.setdefault(name, value)
