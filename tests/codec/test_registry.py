"""The registry of types: a library that has a line there is asked wherever its types are met."""

from __future__ import annotations

import ast
import importlib
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minipipe as mp
from minipipe.codec import (
    Decoder,
    Encoder,
    arrays,
    containers,
    numpy_scalars,
    pickled,
    reader,
    records,
    registry,
    values,
    wire,
)
from minipipe.errors import ItemTypeError, StartError, WireFormatError
from minipipe.process import seeds
from minipipe.regulators.collate import collate
from minipipe.regulators.errors import CollateError
from minipipe.segments.kinds import Transform
from minipipe.supervisor.capture import check_fork
from minipipe.supervisor.resources import resources
from minipipe.worker import seeding
from minipipe.worker.spec import Task

PACKAGE = Path(mp.__file__).parent
TAG = 99


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`shapes` can be imported, and has its line in the registry."""
    monkeypatch.syspath_prepend(Path(__file__).parent / "library")
    entry = registry.Entry("tests.codec.shapes_library", (TAG,))
    monkeypatch.setitem(registry.MODULES, "shapes", entry)
    yield
    reader._READERS.pop(TAG, None)
    for name in ("shapes", "tests.codec.shapes_library"):
        sys.modules.pop(name, None)


@pytest.fixture
def shapes(registered: None) -> Any:
    return importlib.import_module("shapes")


def test_a_type_of_a_library_has_a_form_of_its_own_on_the_wire(shapes: Any) -> None:
    encoder = Encoder(allow_pickle=False)
    token, _ = encoder.snapshot({"is": [shapes.Circle(2.5)]})
    (item,) = Decoder(allow_pickle=False).decode(encoder.encode([token]).body, [])
    assert type(item["is"][0]) is shapes.Circle and item["is"][0].radius == 2.5


def test_what_the_library_does_not_know_is_as_any_other_type(shapes: Any) -> None:
    with pytest.raises(ItemTypeError, match=r"shapes\.Circles"):
        Encoder(allow_pickle=False).snapshot(shapes.Circles([1.0]))


def test_the_samples_are_collated_by_the_library(shapes: Any) -> None:
    batch, numbers = collate([(shapes.Circle(1.0), 1), (shapes.Circle(2.0), 2)])
    assert type(batch) is shapes.Circles and batch.radii == [1.0, 2.0]
    assert numbers.tolist() == [1, 2]
    with pytest.raises(CollateError, match=r"expected type of radius float as .* got .* int"):
        collate([shapes.Circle(1.0), shapes.Circle(2)])
    with pytest.raises(CollateError, match=r"expected a circle of 1.0 as .* got None"):
        collate([shapes.Circle(1.0), None])
    with pytest.raises(CollateError, match=r"give it as an array \(circle\.radius\)"):
        list(mp.PipeLine([mp.Source([shapes.Circle(1.0)]), mp.Rebatch(2)]).build(inline=True))


@pytest.fixture
def generators(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The generators of this process are as they were after the test."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(seeds, "_current", seeds.current())
    states = random.getstate(), np.random.get_state()
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])


def test_the_generator_of_a_library_is_seeded(shapes: Any, generators: None) -> None:
    seeding._seed(7)
    assert shapes.SEEDS == [7]


def test_a_library_that_is_imported_late_is_seeded_then(registered: None, generators: None) -> None:
    seeding._seed(7)
    assert "shapes" not in sys.modules and "tests.codec.shapes_library" not in sys.modules
    shapes = importlib.import_module("shapes")
    assert shapes.SEEDS == [7]
    assert type(shapes.__loader__).__module__ != seeding.__name__


def test_what_breaks_when_it_is_shared_is_found_in_a_functor(shapes: Any) -> None:
    functor = [{"of": shapes.Drawing()}]
    (found,) = resources(Task(functor, {}, ()))
    assert found.what == "an open drawing" and found.breaks(2) and not found.breaks(1)

    class Mine(shapes.Drawing):  # type: ignore[misc, name-defined]
        pass

    (found,) = resources(Task(Mine(), {}, ()))
    assert found.what == "an open drawing"


def test_a_library_may_forbid_a_fork(shapes: Any) -> None:
    declared = Transform(print)
    check_fork(declared, "it cannot be pickled")
    shapes.SEEDS.append(-1)
    with pytest.raises(StartError, match="workers would be forked, and an easel, which"):
        check_fork(declared, "it cannot be pickled")


def test_a_worker_seeds_the_library_and_sends_its_types(shapes: Any) -> None:
    lock = threading.Lock()  # so that it is forked, and knows the line of this test

    def draw(item: int) -> Any:
        with lock:
            return shapes.Circle(item), shapes.SEEDS[-1] == mp.get_worker_info().seed

    (found,) = mp.PipeLine([mp.Source([3]), mp.Transform(draw)])
    assert type(found[0]) is shapes.Circle and found[0].radius == 3 and found[1]
    assert TAG in reader._READERS  # it came in its own form


def test_the_file_of_a_library_is_loaded_when_a_type_of_it_is_met() -> None:
    script = (
        "import sys, minipipe.worker.zygote, minipipe.supervisor.run, minipipe.regulators\n"
        "from minipipe.codec import registry\n"
        "from minipipe.worker.seeding import _seed as seed\n"
        "seed(1)\n"
        "print([n for n, e in registry.MODULES.items() if n in sys.modules])\n"
        "print([n for n in sys.modules if n.startswith('minipipe.codec.types.')])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout == "[]\n['minipipe.codec.types.open_handles']\n"


@pytest.mark.parametrize("name", registry.MODULES)
def test_each_line_leads_to_a_file_that_reads_its_tags(name: str) -> None:
    assert set(registry.load(name).readers) == set(registry.MODULES[name].tags)


def test_no_tag_is_taken_twice_and_none_is_left_out() -> None:
    builtin = (arrays, containers, numpy_scalars, pickled, records, values)
    tags = [*reader._LEAF_TAGS, *(tag for module in builtin for tag in module.READERS)]
    tags += [tag for entry in set(registry.MODULES.values()) for tag in entry.tags]
    assert sorted(tags) == list(range(34))


def test_words_of_a_library_without_dtypes_are_refused() -> None:
    body = Encoder()._pack([wire.FORMAT_VERSION, wire.NODES, [[wire.DTYPE, ["pandas", "x"]]]])
    with pytest.raises(WireFormatError, match="pandas has no dtypes"):
        Decoder().decode(body, [])


def test_libraries_are_named_in_their_own_files_only() -> None:
    names = {"torch", "pandas", "pyarrow", "ml_dtypes"}
    found = set()
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE)
        if place.parts[0] in ("demo", "torch", "sources") or place.parts[:2] == ("codec", "types"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            words = {getattr(node, "id", None), getattr(node, "name", None)}
            words.add(node.value if isinstance(node, ast.Constant) else None)
            if {word for word in words if isinstance(word, str)} & names:
                found.add(place.as_posix())
    # (What may start threads of OpenMP is known by name, whether MiniPipe has types of it or not.)
    # (And the package itself knows that there is `minipipe.torch`.)
    # (Whether a process uses CUDA is asked of torch itself.)
    cuda = "process/gpu_copies.py"
    assert found == {"codec/registry.py", "worker/native_threads.py", "__init__.py", cuda}
