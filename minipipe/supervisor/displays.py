"""What workers display, shown in the notebook that this process is the kernel of."""

from __future__ import annotations

import json
import sys
from typing import Any


def is_wanted() -> bool:
    """Whether this process has a shell of IPython's, such as a notebook's."""
    shell = sys.modules.get("IPython.core.interactiveshell")
    return shell is not None and bool(shell.InteractiveShell.initialized())


def checked(fields: dict[str, Any]) -> dict[str, Any]:
    """What is to be shown.

    Raises:
        ValueError: it is nothing of the kind.
    """
    said = json.loads(fields["json"]) if set(fields) == {"json"} else None
    if not isinstance(said, dict):
        raise ValueError("nothing to be displayed")
    if set(said) == {"clear"}:
        return said
    kinds = {"data": dict, "metadata": dict, "transient": dict, "update": bool}
    if set(said) != set(kinds) or not all(isinstance(said[n], kinds[n]) for n in kinds):
        raise ValueError(f"nothing to be displayed: it has {sorted(said)}")
    return said


def show(said: dict[str, Any]) -> None:
    """Shows it in the cell that runs now.

    Args:
        said: as `checked`.
    """
    if not is_wanted():  # the shell is gone
        return
    publisher = sys.modules["IPython.core.interactiveshell"].InteractiveShell.instance().display_pub
    if "clear" in said:
        publisher.clear_output(said["clear"])
        return
    about = {"transient": said["transient"], "update": said["update"]}
    publisher.publish(data=said["data"], metadata=said["metadata"], **about)
