"""The end of a worker's process: that of a Python program.

Threads are joined, exit handlers called, files written, what modules hold is dropped.  The
interpreter could do that, but would go through all that was imported beforehand, too: a tenth of a
second for scikit-learn, and a copy of all its memory in each worker, just to end.  So that is left,
as it was nobody's; only a worker that a zygote has forked calls the exit handlers of C libraries.
One that was forked from the user's process must not: that has files with something in their
buffers, exit handlers, objects with a `__del__`, and each of them would act a second time.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import io
import itertools
import logging
import os
import signal
import sys
import threading
import weakref
from contextlib import suppress
from types import ModuleType
from typing import Any, NoReturn

from minipipe.process import gpu_copies
from minipipe.process.cpus import core_wait_s
from minipipe.protocol.run.vital_signs import EndStage
from minipipe.stream.page import SIZE_BYTES, Page
from minipipe.worker.descendants import end_children

_IO_BASE: type = io.IOBase.__mro__[1]  # without the cost of an abstract class
NOTE_BYTES = 4096
CHILDREN_S = 1.0  # what is killed may take so long to be gone
PASSES = 3  # files stand on files: what one writes waits in the next one


def begin_to_end(page: Page, page_fd: int) -> None:
    """The work is done: from here on this is a program that ends.  Waits for its threads."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a stop has nothing more to interrupt
    threads = [
        repr(thread.name)
        for thread in threading.enumerate()
        if not thread.daemon and thread is not threading.main_thread()
    ]
    names = f"its threads {', '.join(threads)}" if threads else "its thread pools"
    _write_note(page_fd, names)
    page.stage = EndStage.ENDING
    threading._shutdown()  # type: ignore[attr-defined]
    spent = os.times()
    page.staged_ns, page.own_copies = gpu_copies.staged_ns(), int(gpu_copies.are_its_own())
    page.cpu_ns = int(1e9 * sum(spent[:4]))
    page.core_wait_ns = int(1e9 * core_wait_s())
    _write_note(page_fd, "its exit handlers (atexit), or its children")


def read_note(page_fd: int) -> str:
    """What the end of a worker waits for."""
    return os.pread(page_fd, NOTE_BYTES, SIZE_BYTES).partition(b"\0")[0].decode("utf-8", "replace")


def _write_note(page_fd: int, text: str) -> None:
    os.pwrite(page_fd, text.encode("utf-8", "replace")[: NOTE_BYTES - 1] + b"\0", SIZE_BYTES)


def close_files() -> None:
    """Ends the archives that were opened in this process, and writes what files still hold."""
    _close_archives()
    _flush_files()


def _flush_files() -> None:
    """Writes what files that were opened in this process still hold.

    (The interpreter closes files too, but of a cycle of references the innermost one first: what
    is in the buffers is then lost.  A functor whose module is not importable is such a cycle.)
    """
    files = [thing for thing in gc.get_objects() if issubclass(type(thing), _IO_BASE)]
    # Texts, and what writes in a format of its own, stand on buffers.
    files.sort(key=_is_plain_buffer)
    for _ in range(PASSES):
        for file in files:
            try:
                if not file.closed:
                    file.flush()
            except Exception as error:  # a full disk; or a class of the user's
                _report(error, file)


def _is_plain_buffer(file: object) -> bool:
    return issubclass(type(file), io.BufferedIOBase) and type(file).__module__ == "_io"


def _report(error: BaseException, thing: object) -> None:
    if sys.stderr is not None:
        name = type(thing).__name__
        sys.stderr.write(f"minipipe: at the end of a worker, of its {name}: {error!r}\n")


# ------------------------------------------------------------- forked from a zygote
def end_born(code: int) -> NoReturn:
    """Ends a process that a zygote has forked, as its interpreter would."""
    try:
        atexit._run_exitfuncs()
        for names in _imported_here():
            _clear(names)
        _clear(vars(sys.modules["__main__"]))
        gc.collect()
        _finalize_what_is_left()
    except BaseException as error:
        _report(error, None)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError, ValueError):
                stream.flush()
        # With the interpreter lock: threads that are left must not run while that is taken down.
        ctypes.PyDLL(None).exit(code)
    raise AssertionError("exit(3) was called")


_last_before = ""


def remember_modules() -> None:
    """What is imported now, in a zygote, its workers need not look through at their ends."""
    global _last_before
    _last_before = next(reversed(sys.modules))


def _imported_here() -> list[dict[str, Any]]:
    """What modules of the user's hold that were imported in this worker.

    (To look at the others would copy, for this process, the memory that they are in.)
    """
    new = list(itertools.takewhile(lambda name: name != _last_before, reversed(sys.modules)))
    modules = [sys.modules[name] for name in new if is_users(name)]
    return [object.__getattribute__(module, "__dict__") for module in modules]


def _finalize_what_is_left() -> None:
    """Calls the `__del__` of what was made here and is held by what was imported before."""
    finalize = ctypes.pythonapi.PyObject_CallFinalizer  # which does so once
    finalize.argtypes, finalize.restype = [ctypes.py_object], None
    for thing in gc.get_objects():
        kind = type(thing)
        if hasattr(kind, "__del__") and kind.__module__.partition(".")[0] not in _OWN:
            finalize(thing)


def is_users(name: str) -> bool:
    """Whether a module is neither Python's, nor installed, nor this package's."""
    module = sys.modules.get(name)
    if not isinstance(module, ModuleType):
        return False
    # (Past what a module that is loaded at its first use does at any other look at it.)
    place = object.__getattribute__(module, "__dict__").get("__file__")
    if name.partition(".")[0] in _OURS or not isinstance(place, str):
        return False
    return not any(f"{kind}-packages" in place for kind in ("site", "dist"))


_OURS = {*sys.stdlib_module_names, "minipipe"}
_OWN = _OURS | {"zmq"}


def _clear(names: dict[str, Any]) -> None:
    """Drops what a module holds, in the order in which the interpreter does that."""
    for is_private in (True, False):
        for name in list(names):
            if name.startswith("_") == is_private and name != "__builtins__":
                names[name] = None


# ------------------------------------------------------- forked from the user's process
def forget_the_parent() -> None:
    """Right after the fork: what the parent wants done at its end is not done at ours.

    (As `multiprocessing` has it for its own children.)
    """
    atexit._clear()
    atexits: list[Any] = threading._threading_atexits  # type: ignore[attr-defined]
    atexits[:] = [call for call in atexits if _is_of_the_library(call)]
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]
    logging._handlerList.clear()  # type: ignore[attr-defined]
    atexit.register(logging.shutdown)
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None:
        process._children.clear()
        util._finalizer_registry.clear()
        util._run_after_forkers()
        atexit.register(util._exit_function)


def _is_of_the_library(call: Any) -> bool:
    """Whether it ends thread and process pools: those made in the worker need it."""
    return str(getattr(call, "func", call).__module__).startswith("concurrent.futures")


def end_fork(code: int, functor: object) -> NoReturn:
    """Ends a process that was forked from the user's, as far as it is the worker's own."""
    try:
        atexit._run_exitfuncs()
        _let_go(functor)
        close_files()
        end_children(CHILDREN_S)
    except BaseException as error:
        _report(error, functor)
    finally:
        os._exit(code)


def _let_go(functor: object) -> None:
    """Drops what was made here and is held by what was inherited, so that its `__del__` runs."""
    young = {id(thing) for thing in gc.get_objects()}
    keeps = type(sys), type, type(_let_go), type(len)
    spared = {*sys.stdlib_module_names, "minipipe"}
    holders = [
        vars(module)
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] not in spared and hasattr(module, "__dict__")
    ]
    holders.append(getattr(functor, "__globals__", {}))
    holders.append(getattr(functor, "__dict__", {}))
    for holder in holders:
        if id(holder) in young:
            continue  # of a module imported here; or a proxy, which is none of ours
        for name, value in list(holder.items()):
            if id(value) in young and not isinstance(value, keeps):
                holder[name] = None
    del young
    gc.collect()


def _close_archives() -> None:
    """Closes what was opened here and whose end is written only when it is closed."""
    kinds = tuple(
        getattr(sys.modules[module], name)
        for module, name in _ARCHIVES
        if module in sys.modules and hasattr(sys.modules[module], name)
    )
    archives = [thing for thing in gc.get_objects() if issubclass(type(thing), kinds or ())]
    texts = [thing for thing in gc.get_objects() if type(thing) is io.TextIOWrapper]
    for text in texts:
        try:
            if not text.closed:
                text.flush()
        except Exception as error:  # a full disk
            _report(error, text)
    for archive in archives:
        try:
            archive.close()
        except Exception as error:  # a full disk; or a class of the user's
            _report(error, archive)


_ARCHIVES = (
    ("gzip", "GzipFile"),
    ("bz2", "BZ2File"),
    ("lzma", "LZMAFile"),
    ("zipfile", "ZipFile"),
)
