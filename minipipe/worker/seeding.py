"""torch's generator is seeded when a functor imports torch, which may be late.

(Its default seed is the same in every process, so all workers would draw the same numbers.)
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from types import ModuleType


def seed_when_imported(value: int) -> None:
    """`torch.manual_seed(value)` is called as soon as torch is there."""
    sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, _Finder)]
    sys.meta_path.insert(0, _Finder(value))


class _Finder(MetaPathFinder):
    """Finds torch as the others do, and adds something to its loading."""

    def __init__(self, value: int) -> None:
        self._value = value

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "torch":
            return None
        sys.meta_path.remove(self)  # once; and the others are to find it
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._value)
        return spec


class _Loader(Loader):
    def __init__(self, loader: Loader, value: int) -> None:
        self._loader = loader
        self._value = value

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        if hasattr(module, "manual_seed"):
            module.manual_seed(self._value)
