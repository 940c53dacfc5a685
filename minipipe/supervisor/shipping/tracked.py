"""Which Python files git tracks below a directory."""

from __future__ import annotations

import os
import subprocess

TIMEOUT_S = 10.0
# A hook of git's calls with these set, and they would say which work tree is meant.
_OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")


def work_tree_of(directory: str) -> str | None:
    """The top of the git work tree that a directory is in; None: in none, or git is not here."""
    top = _git(directory, "rev-parse", "--show-toplevel")
    return None if top is None else os.path.realpath(os.fsdecode(top.rstrip(b"\n")))


def tracked_python_files(directory: str) -> set[str] | None:
    """The Python files that git tracks below a directory, as paths; None: it is in no work tree."""
    listed = _git(directory, "ls-files", "-z", "--cached", "--recurse-submodules", "--", "*.py")
    if listed is None:
        return None
    return {os.path.join(directory, os.fsdecode(name)) for name in listed.split(b"\0") if name}


def _git(directory: str, *words: str) -> bytes | None:
    """What git answers; None if it does not (it is not there, or takes this for no work tree)."""
    environment = {name: text for name, text in os.environ.items() if name not in _OF_HOOKS}
    try:
        done = subprocess.run(
            # (A file watcher of that work tree's configuration would be started.)
            ("git", "-C", directory, "-c", "core.fsmonitor=false", *words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            env={**environment, "GIT_OPTIONAL_LOCKS": "0"},
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
