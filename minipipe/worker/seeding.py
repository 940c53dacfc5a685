"""The global generators of a worker: of Python, of NumPy, and of the libraries in the registry.

A library that a functor imports late is seeded as soon as it is there.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import random
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from types import ModuleType

import numpy as np
import numpy.random  # in the zygote: loaded by each worker, it would be half of its start

from minipipe.codec import registry
from minipipe.process import seeds
from minipipe.process.generators import Generators
from minipipe.protocol.item_seeds import FIRST_PASS, START, SegmentSeeds
from minipipe.worker.spec import WorkerSpec


def seed_worker(spec: WorkerSpec) -> None:
    """Seeds all generators of this worker for its start."""
    _seed(spec.seed)
    if spec.run_seed is not None:
        segment = SegmentSeeds(spec.run_seed, FIRST_PASS, spec.segment)
        generators = Generators(registry.LibraryGenerators().seed)
        seeds.use(seeds.RandomnessByItem(segment, spec.index, generators))
        seeds.current().begin_outside(START)


def _seed(value: int) -> None:
    """Seeds `random`, NumPy's global generator, our Regulators, and those of libraries."""
    seeds.use(seeds.Randomness(value))
    random.seed(value)
    np.random.seed(value & 0xFFFFFFFF)
    for library in registry.imported():
        if library.seed is not None:
            library.seed(value)
    sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, _Finder)]
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the libraries as the other finders do, and adds the seeding to their loading."""

    def __init__(self) -> None:
        # (A difference of the two would look at every module that there is.)
        self._awaited = {name for name in registry.MODULES if name not in sys.modules}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._awaited:
            return None
        self._awaited.discard(fullname)  # the other finders are to find it now
        seed_library = registry.load(fullname).seed
        if seed_library is None:
            return None
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, seed_library)
        return spec


class _Loader(Loader):
    def __init__(self, loader: Loader, seed_library: Callable[[int], None]) -> None:
        self._loader = loader
        self._seed_library = seed_library

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        value = seeds.current().seed_of_libraries
        if value is not None:
            self._seed_library(value)
