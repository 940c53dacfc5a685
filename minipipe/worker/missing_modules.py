"""What an error on another host is likely due to: a module or file that is not there."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

from minipipe.errors import WireFormatError

if TYPE_CHECKING:
    from minipipe.protocol.hosts.shipment import Manifest

# What pickle and Python say of a module that has no such name in it.
_OF_MODULE = re.compile(r"module '([\w.]+)'")
_host, _directory = "", ""


def remember_host(host: str, directory: str) -> None:
    """This worker is on another host than the run.

    Args:
        host: its name.
        directory: where the user's code was unpacked; "" if none was.
    """
    global _host, _directory
    _host, _directory = host, directory


def host_hint(error: BaseException) -> str:
    """What to say of an error beside what it says itself; "" on the run's own host."""
    if not _host:
        return ""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"; {_of_missing(error.name, _manifest())}"
    if isinstance(error, ImportError) and error.name:
        return f"; {_of_other(error.name, _manifest())}"
    if isinstance(error, AttributeError):
        found = _OF_MODULE.search(str(error))
        return f"; {_of_other(found[1], _manifest())}" if found else ""
    if isinstance(error, FileNotFoundError) and isinstance(error.filename, str):
        return _of_file(error.filename)
    return ""


def _of_missing(name: str, manifest: Manifest) -> str:
    top = name.partition(".")[0]
    said = f"host {_host!r} has no module {name!r}, and it was not shipped there"
    if manifest.is_off:
        return f"{said} (ship=False): install it there, or let ship= ship your own code"
    above = name
    while above:
        if above in manifest.left_out:
            return (
                f"{said}, as {manifest.left_out[above]}: install it there, or run(ship=[{top!r}]) "
                "ships its Python files"
            )
        above = above.rpartition(".")[0]
    return (
        f"{said} ({_shipped(manifest)}): install it there, or run(ship=[{top!r}]) ships its Python "
        "files"
    )


def _of_other(name: str, manifest: Manifest) -> str:
    """A module is there, and is not what it is at home."""
    top = name.partition(".")[0]
    if top in manifest.tops():
        return f"on host {_host!r} {top!r} is what was shipped ({_shipped(manifest)})"
    where = getattr(sys.modules.get(name), "__file__", None)
    return (
        f"on host {_host!r} {name!r} is what is installed there"
        f"{f' ({where})' if where else ''}, and not what the run has: install the same one, or "
        f"run(ship=[{top!r}]) ships its Python files"
    )


def _of_file(path: str) -> str:
    if os.path.isabs(path):
        return f"; this was on host {_host!r}: files are looked for there"
    return (
        f"; this was on host {_host!r}, where relative paths are looked up in "
        f"{os.getcwd()!r}, in which the agent was started"
    )


def _shipped(manifest: Manifest) -> str:
    tops = manifest.tops()
    if not tops:
        return "no code was"
    more = f" and {len(tops) - 10} more" if len(tops) > 10 else ""
    return f"shipped were {', '.join(tops[:10])}{more}, from {', '.join(manifest.origins)}"


def _manifest() -> Manifest:
    """What was shipped; nothing, if that cannot be read any more."""
    # (Here: every worker of a run on one machine would import it for nothing.)
    from minipipe.protocol.hosts.shipment import MANIFEST, Manifest, read_manifest

    if not _directory:
        return Manifest(is_off=True)
    try:
        with open(os.path.join(_directory, MANIFEST), "rb") as file:
            return read_manifest(file.read())
    except (OSError, WireFormatError):
        return Manifest()
