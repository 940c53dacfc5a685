"""A Python interpreter beside this one, which serves it over one end of a socket pair."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from minipipe.errors import StartError
from minipipe.process.platforms import with_interpreter_lock
from minipipe.process.standard_streams import inherited
from minipipe.worker.signals import held_back

# Behind the standard library, and before whatever else is installed under our name.
_FINDS_THE_PACKAGE = """
import sys
places = [i for i, path in enumerate(sys.path) if path.endswith(("-packages", "site-packages"))]
sys.path.insert(places[0] if places else len(sys.path), sys.argv[1])
"""


def start_interpreter(
    code: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    pass_fds: Sequence[int] = (),
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Starts one; the process, and our end of the pair.

    Args:
        code: what it executes, where this package can be imported.  `sys.argv[2]` is the descriptor
            of its end.
        arguments: what follows that.
        environment: of the process, whole.
        pass_fds: what it inherits beside its end.

    Raises:
        StartError: that is not possible.
    """
    ours, theirs = socket.socketpair()
    root = str(Path(__file__).parents[__name__.count(".")])  # it has the package in it
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    # -P: nothing is imported from the current directory.
    command = [sys.executable, *flags, "-P", "-c", _FINDS_THE_PACKAGE + code]
    try:
        with held_back():
            process = subprocess.Popen(
                [*command, root, str(theirs.fileno()), *arguments],
                env=with_interpreter_lock(dict(environment)),
                pass_fds=[theirs.fileno(), *pass_fds],
                stdin=subprocess.DEVNULL,
                stdout=inherited(1),
                stderr=inherited(2),
                start_new_session=True,  # a Ctrl-C in the terminal is not for it
            )
    except OSError as error:
        ours.close()
        raise StartError(f"cannot start {sys.executable!r}: {error}") from error
    finally:
        theirs.close()
    return process, ours
