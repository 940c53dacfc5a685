"""The compiled core: which modules mypyc makes C of, and when.  What the package is: setup.cfg.

A wheel is compiled where that can be done (`can_compile`), and pure Python otherwise, so
`pip install .` works with and without a compiler.  What is installed from a checkout to work on it
(`pip install -e .`) is pure, always: no .py file that was edited lies beside a .so that was not.
`minipipe --version` says which one it is.  More: ARCHITECTURE.md, "The compiled core".

MINIPIPE_PURE=1 asks for a pure wheel; MINIPIPE_COMPILED=1 makes it an error that it cannot be
compiled.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError

# What an item, its result, a grant and a confirmation pass on their way, and no more: each module
# costs a second or two of compiling.  Left out are those that are looked at as Python (records
# and their forms, by their annotations; the status page makes its properties), dataclasses that
# are pickled (wiring, bundles), what inherits from classes of others (the service thread), and what
# happens once a run.
COMPILED = {
    "protocol/delivery": "ahead headcount intervals ledger membership paths recent recovery"
    " settling",
    "protocol/run": "durations",
    "protocol/flow": "credit late_binding naps tickets",
    "stream": "arrived bundling chooser consumers counts definitions duties ends fanout feedback"
    " fences fields fits handlers handover inlet landing link memory node offers ordering orders"
    " outbox outlet parcel_decoder peers pending producers reception rest shipment skips"
    " time_use uplink waiting wire",
    "worker": "bundles busy_meter calls emit fast_path functor_runner general inputs poll_interval"
    " reminder results source threaded_bundles",
    "transport": "zeromq_receiving zeromq_sending",
    "codec": "arrays beside borrower decoder dtypes encoder item_loader item_pickler lender"
    " local_encoder over_arrays parcel parcel_slot reader reducers rows shared_arrays"
    " unreadable wire writer",
    "shm": "allocator borrowed copying extent handle kept lease locate locks pool reader reference",
    "operators": "steppers work_item",
    "segments": "coroutine",
    "regulators": "collator",
}
GROUP = "minipipe"  # what they have in common becomes minipipe__mypyc
PURE, COMPULSORY = "MINIPIPE_PURE", "MINIPIPE_COMPILED"


def sources() -> Iterator[str]:
    """The files that are compiled."""
    for folder, names in COMPILED.items():
        yield from (f"minipipe/{folder}/{name}.py" for name in names.split())


def is_wanted() -> bool:
    """Whether the core is to be compiled, if that can be done."""
    return os.environ.get(PURE, "0") in ("", "0")


def can_compile() -> bool:
    """Whether there is a C compiler that finds Python's headers."""
    if sys.implementation.name != "cpython":
        return False
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    if shutil.which(compiler[0]) is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <Python.h>\nint probe(void) { return PY_VERSION_HEX > 0; }\n")
        include = f"-I{sysconfig.get_path('include')}"
        command = [*compiler, include, "-c", str(source), "-o", str(Path(folder, "probe.o"))]
        return subprocess.run(command, capture_output=True).returncode == 0


class BuildCore(build_ext):
    """Compiles all of the core, or leaves all of it pure."""

    def run(self) -> None:
        wanted = {Path(self.get_ext_fullpath(extension.name)) for extension in self.extensions}
        try:
            for old in Path(self.build_lib).rglob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}"):
                if old not in wanted:  # of an earlier build, which had more modules
                    old.unlink()
            super().run()
        except (BaseError, OSError) as error:
            if os.environ.get(COMPULSORY):
                raise
            for made in wanted:
                made.unlink(missing_ok=True)
            self.warn(f"the core could not be compiled, MiniPipe will be pure Python: {error}")

    def build_extensions(self) -> None:
        compile_all = self.compiler.compile

        def compile_side_by_side(files: Sequence[str], **options: Any) -> list[str]:
            # One library has nearly all files, and setuptools would compile one after the other.
            with ThreadPool(os.cpu_count()) as pool:
                made = pool.map(lambda file: compile_all([file], **options), files)
            return [object_file for files in made for object_file in files]

        self.compiler.compile = compile_side_by_side
        super().build_extensions()


def extensions() -> list[Any]:
    """What to build; nothing, if it is no wheel that is made, or it cannot be compiled."""
    if "bdist_wheel" not in sys.argv or not is_wanted():
        return []
    try:
        from mypyc.build import mypycify
    except ImportError:
        missing = "mypy"
    else:
        missing = "" if can_compile() else "a C compiler with Python's headers"
    if missing:
        if os.environ.get(COMPULSORY):
            sys.exit(f"the core cannot be compiled: there is no {missing}")
        sys.stderr.write(f"MiniPipe will be pure Python: no {missing} to compile its core\n")
        return []
    # Not what `make check` asks for: pyzmq and the like are not there in a build of its own.
    options = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
    about: dict[str, Any] = {
        "group_name": GROUP,
        "opt_level": "2",
        "debug_level": "0",
        "multi_file": True,
    }
    try:
        made: list[Any] = mypycify([*options, *sources()], **about)
    except SystemExit:  # another mypy, which finds something: it has said what
        if os.environ.get(COMPULSORY):
            raise
        return []
    return made


if __name__ == "__main__":
    found = extensions()
    setup(ext_modules=found, cmdclass={"build_ext": BuildCore} if found else {})
