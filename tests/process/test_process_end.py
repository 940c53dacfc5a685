# ruff: noqa: SIM115 - that files are not closed is the point
"""A worker's process ends like a Python program: threads, exit handlers, files."""

from __future__ import annotations

import atexit
import csv
import ctypes
import gzip
import lzma
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import minipipe as mp
from tests.conftest import children, wait_until

# A worker that is forked from this process, as its functor cannot be pickled, has to end as
# well as one that a zygote has forked.
BOTH = pytest.mark.parametrize("inherited", [False, True], ids=["pickled", "inherited"])


def maybe_inherited(function: Callable, inherited: bool) -> Callable:
    """The function, or one that has what cannot be pickled."""
    if not inherited:
        return function
    cannot_be_pickled = (i for i in ())

    def same(*args):
        assert cannot_be_pickled is not None
        return function(*args)

    return same


def line_of(item: int) -> str:
    """A second function of this module: the first one's globals are then a cycle of references."""
    return f"{item}\n"


class State:
    """What the functors below keep in their module."""


@BOTH
@pytest.mark.parametrize("kind", ["source", "transform", "sink", "regulator"])
def test_a_file_that_a_global_holds_is_written_whole(
    tmp_path: Path, kind: str, inherited: bool
) -> None:
    path = tmp_path / "out.txt"
    opened: list = []

    def save(item: int) -> int:
        if not opened:
            opened.append(open(path, "w"))
        opened[0].write(line_of(item))
        return item

    def source():
        yield from map(save, range(1000))

    def regulator():
        while True:
            try:
                item = yield
            except mp.EndOfStream:
                return
            save(item)
            yield item

    functors = {"source": source, "transform": save, "sink": save, "regulator": regulator}
    functor = maybe_inherited(functors[kind], inherited)
    first = mp.Source(functor if kind == "source" else range(1000))
    middle = {"transform": mp.Transform, "regulator": mp.Regulator}.get(kind)
    last = mp.Sink(functor if kind == "sink" else abs)
    segments = [first, *([middle(functor)] if middle else []), last]
    mp.PipeLine(segments).run().close()
    assert path.read_text() == "".join(line_of(i) for i in range(1000))


@BOTH
def test_what_is_written_in_formats_with_an_end_of_their_own_is_whole(
    tmp_path: Path, inherited: bool
) -> None:
    class Saver:
        """Holds bound methods of its own, and of what it holds: cycles of references."""

        def __init__(self) -> None:
            self.cannot_be_pickled = (i for i in ()) if inherited else None

        def local_init(self) -> None:
            self.itself = self.run
            self.text = open(tmp_path / "a.csv", "w", newline="")
            self.rows = csv.writer(self.text)
            self.gz = gzip.open(tmp_path / "a.gz", "wt")
            self.xz = lzma.open(tmp_path / "a.xz", "wb")
            self.zip = zipfile.ZipFile(tmp_path / "a.zip", "w")

        def run(self, item: int) -> None:
            self.rows.writerow([item, item])
            self.gz.write(f"{item}\n")
            self.xz.write(b"%d\n" % item)
            self.zip.writestr(str(item), b"content")

    mp.PipeLine([mp.Source(range(100)), mp.Sink(Saver())]).run().close()
    lines = [str(i) for i in range(100)]
    with open(tmp_path / "a.csv", newline="") as file:
        assert list(csv.reader(file)) == [[line, line] for line in lines]
    with gzip.open(tmp_path / "a.gz", "rt") as text:
        assert text.read().split() == lines
    with lzma.open(tmp_path / "a.xz", "rt") as text:
        assert text.read().split() == lines
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == lines
        assert archive.testzip() is None


@BOTH
def test_threads_pools_and_handlers_are_waited_for(tmp_path: Path, inherited: bool) -> None:
    class Held:
        """Something that a finalizer goes with."""

    class Uploads:
        def __init__(self) -> None:
            self.cannot_be_pickled = (i for i in ()) if inherited else None

        def local_init(self) -> None:
            self.pool = ThreadPoolExecutor(2)
            self.held = Held()
            weakref.finalize(self.held, (tmp_path / "finalized").touch)
            atexit.register((tmp_path / "handler").touch)

        def run(self, item: int) -> None:
            self.pool.submit(self.upload, f"pool{item}")
            threading.Thread(target=self.upload, args=(f"thread{item}",)).start()

        def upload(self, name: str) -> None:
            time.sleep(0.2)
            (tmp_path / name).touch()

        def __del__(self) -> None:
            if hasattr(self, "pool"):
                (tmp_path / "deleted").touch()

    mp.PipeLine([mp.Source(range(5)), mp.Sink(Uploads())]).run().close()
    names = {path.name for path in tmp_path.iterdir()}
    assert names - {"deleted"} == {
        *(f"pool{i}" for i in range(5)),
        *(f"thread{i}" for i in range(5)),
        "finalized",
        "handler",
    }


@BOTH
def test_what_a_functor_has_put_into_a_queue_of_processes_arrives(inherited: bool) -> None:
    import multiprocessing

    queue: multiprocessing.Queue = multiprocessing.get_context("fork").Queue()

    def put(item: int) -> None:
        queue.put(bytes(100_000))

    # A queue cannot be pickled, so its worker is forked in both cases.
    got = []
    reader = threading.Thread(target=lambda: got.extend(len(queue.get()) for _ in range(5)))
    reader.start()
    mp.PipeLine([mp.Source(range(5)), mp.Sink(put)]).run().close()
    reader.join(60)
    assert got == [100_000] * 5
    queue.close()
    queue.join_thread()


SCRIPT = """
import atexit, os, sys, tempfile, weakref
import minipipe as mp

class Loud:
    def __del__(self):
        os.write(1, b"deleted\\n")

loud = Loud()
out = open({out!r}, "w")
out.write("of the script\\n")
atexit.register(lambda: os.write(1, b"handler\\n"))
directory = tempfile.TemporaryDirectory()
unpicklable = (i for i in ())
def save(item):
    assert unpicklable is not None
mp.PipeLine([mp.Source(range(10)), mp.Sink(save, n_processes=3)]).run().close()
assert os.path.isdir(directory.name)
os.write(1, b"closed\\n")
"""


def test_what_belongs_to_the_caller_is_done_once_and_by_the_caller(tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT.format(out=str(out))))
    command = [sys.executable, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["closed", "handler"]
    assert done.stdout.count("deleted") <= 1
    assert out.read_text() == "of the script\n"


@BOTH
def test_a_handler_that_raises_is_printed_and_no_death(
    capfd: pytest.CaptureFixture[str], inherited: bool
) -> None:
    def fails() -> None:
        raise OSError("no such handler")

    def registers(item: int) -> None:
        sys.unraisablehook = sys.__unraisablehook__  # pytest has its own here
        atexit.register(fails)

    sink = mp.Sink(maybe_inherited(registers, inherited))
    mp.PipeLine([mp.Source(range(1)), sink]).run().close()
    assert "OSError: no such handler" in capfd.readouterr().err


def test_an_end_that_takes_long_is_named(caplog: pytest.LogCaptureFixture) -> None:
    def starts(item: int) -> None:
        threading.Thread(target=time.sleep, args=(12,), name="uploader").start()

    mp.PipeLine([mp.Source(range(1)), mp.Sink(starts, "save")]).run().close()
    (line,) = [r.getMessage() for r in caplog.records if "has not ended" in r.getMessage()]
    assert "segment 'save'" in line
    assert "its threads 'uploader'" in line


def test_after_a_stop_the_end_of_a_process_has_its_grace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def starts(item: int) -> None:
        threading.Thread(target=time.sleep, args=(1000,), name="for ever").start()
        (tmp_path / "started").touch()
        time.sleep(1000)

    pline = mp.PipeLine([mp.Source(range(1)), mp.Sink(starts, "save")]).run(grace_s=1.5)
    wait_until((tmp_path / "started").exists, "its thread")
    pline.stop()
    pline.close()
    (line,) = [r.getMessage() for r in caplog.records if "cut off" in r.getMessage()]
    assert "the process of segment 'save'" in line
    assert "its threads 'for ever'" in line
    assert "grace_s=1.5" in line


def test_a_stop_reaches_a_run_whose_processes_do_not_end() -> None:
    def starts(item: int) -> None:
        threading.Thread(target=time.sleep, args=(1000,)).start()

    pline = mp.PipeLine([mp.Source(range(1)), mp.Sink(starts)]).run(grace_s=0.5)
    # Not both workers': the Source's process, which has no thread, soon is "gone".
    wait_until(lambda: pline.stats().workers[-1].state == "done", "the end of its work")
    pline.stop()
    pline.close()


def test_a_killed_supervisor_does_not_wait_for_the_ends_of_its_workers(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(
        "import threading, time\n"
        "import minipipe as mp\n"
        "def starts(item):\n    threading.Thread(target=time.sleep, args=(1000,)).start()\n"
        "p = mp.PipeLine([mp.Source(range(1)), mp.Sink(starts)]).run()\n"
        "while p.stats().workers[-1].state != 'done': time.sleep(0.01)\n"
        "print('ready', flush=True)\n"
        "p.close()\n"
    )
    command = [sys.executable, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    workers = children() - {process.pid, os.getpid()}
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "their end")


MODULE = """
class Noted:
    def __init__(self, path):
        self.path = path

    def __del__(self):
        with open(self.path, "a") as notes:
            notes.write("deleted\\n")

held = []

def keep(item, path):
    if not held:
        held.append(Noted(path))
    return item
"""


@pytest.mark.parametrize("where", ["__main__", "imported before the fork", "imported late"])
def test_what_modules_hold_is_deleted_at_the_end(where: str, tmp_path: Path) -> None:
    module, notes = tmp_path / "holding.py", tmp_path / "notes"
    module.write_text(MODULE)
    functor = {
        "__main__": "keep",
        "imported before the fork": "holding.keep",
        "imported late": "lambda item, path: __import__('holding').keep(item, path)",
    }[where]
    script = tmp_path / "script.py"
    script.write_text(
        f"import functools\nimport minipipe as mp\n"
        f"{MODULE if where == '__main__' else 'import holding'}\n"
        f"functor = functools.partial({functor}, path={str(notes)!r})\n"
        f"mp.PipeLine([mp.Source([1, 2, 3]), mp.Sink(functor)]).run().close()\n"
    )
    subprocess.run([sys.executable, str(script)], check=True, timeout=120)
    assert notes.read_text() == "deleted\n"


def test_exit_handlers_of_libraries_in_c_are_called(tmp_path: Path) -> None:
    def registers(item: int) -> None:
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: (tmp_path / "called").touch())
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(call))  # as it is called when all else is gone
        ctypes.CDLL(None).__cxa_atexit(call, None, None)

    mp.PipeLine([mp.Source([1]), mp.Sink(registers)]).run().close()
    assert (tmp_path / "called").exists()


def test_what_was_imported_beforehand_is_not_copied_for_each_worker_at_its_end(
    tmp_path: Path,
) -> None:
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "large.py").write_text(
        "names = [str(number) for number in range(500_000)]\ndef work(item): return item\n"
    )
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(installed)!r})\n"
        "import resource, large, minipipe as mp\n"
        "p = mp.PipeLine()\n"
        "p.add(mp.Source(range(8)))\n"
        "p.add(mp.Transform(large.work), n_processes=8)\n"
        "list(p.build(log_lvl='ERROR').run())\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt)\n"
    )
    run = [sys.executable, str(script)]
    done = subprocess.run(run, capture_output=True, text=True, check=True, timeout=120)
    whole = 8 * sys.getsizeof("123456") * 500_000 // resource.getpagesize()  # in all workers
    assert int(done.stdout) < whole, done.stderr
