"""Threads that no Python knows of: which of them are missing in a fork, so that it hangs."""

from __future__ import annotations

import _imp
import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any, Self

# (GNU's OpenMP hands work to threads that it takes for alive; torch and scikit-learn bring it.)
_MISSED_BY = ("libgomp",)


class NativeThreads:
    """Counts what is started in a `with` block, but for what a library starts as it is loaded.

    Those (BLAS) make theirs anew in a fork.  What a computation has started later, as torch's
    first one does, is waited for by each worker for ever.
    """

    def __init__(self) -> None:
        self._before = self._loaded = 0
        self._loading = False

    def __enter__(self) -> Self:
        self._before = _count()
        self._create, self._open = _imp.create_dynamic, ctypes._dlopen  # type: ignore[attr-defined]
        self._wrap(_imp, "create_dynamic", self._create)
        self._wrap(ctypes, "_dlopen", self._open)
        return self

    def __exit__(self, *_: object) -> None:
        _imp.create_dynamic = self._create
        ctypes._dlopen = self._open  # type: ignore[attr-defined]

    def _wrap(self, module: Any, name: str, load: Callable[..., Any]) -> None:
        def counted(*args: Any, **kwargs: Any) -> Any:
            if self._loading:  # a library in a library
                return load(*args, **kwargs)
            self._loading, before = True, _count()
            try:
                return load(*args, **kwargs)
            finally:
                self._loading = False
                self._loaded += max(0, _count() - before)

        setattr(module, name, counted)

    def obstacle(self) -> str | None:
        """Why workers cannot be forked any more; None: they can."""
        if _count() - self._before - self._loaded <= 0 or not _is_waited_for():
            return None
        return "it has computed something in threads (OpenMP's, say), which no worker would have"


def _count() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 0  # no Linux


def _is_waited_for() -> bool:
    if "torch" in sys.modules:
        return True
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
            return any(name in line for line in file for name in _MISSED_BY)
    except OSError:
        return False
