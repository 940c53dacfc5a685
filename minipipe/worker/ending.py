"""The end of a worker's process: that of a Python program.

Threads are joined, exit handlers called, files written, as far as they were made in the worker.
A worker that a zygote has forked lets its interpreter finalise itself: all that it has inherited
is ours.  One that was forked from the user's process must not: that has files with something in
their buffers, exit handlers, objects with a `__del__`, and each of them would act a second time.
"""

from __future__ import annotations

import atexit
import gc
import io
import logging
import os
import signal
import sys
import threading
import weakref
from typing import Any, NoReturn

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
