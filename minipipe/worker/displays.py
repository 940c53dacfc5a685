"""What a worker displays appears in the notebook that runs the pipeline.

A worker has no shell of IPython's, so `display` there would print a text such as Figure(640x480),
and so would `plt.show()`.  Here it sends what the notebook shows: the forms that an object has.
"""

from __future__ import annotations

import base64
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from minipipe.worker.side_channel import SideChannel

MAX_BYTES = 32 << 20  # of all forms of an object
_MODULE = "IPython.core.display_functions"


def forward_displays(channel: SideChannel) -> None:
    """From now on what is displayed in this process goes to the caller."""
    shell = sys.modules.get("IPython.core.interactiveshell")
    if shell is not None and shell.InteractiveShell.initialized():
        _Sender(channel).take_over(shell.InteractiveShell.instance().display_pub)  # by fork
        return
    known = sys.modules.get(_MODULE)
    if known is None:
        sys.meta_path.insert(0, _Finder(lambda module: _replace(module, channel)))
        return
    before = (known.display, known.clear_output)
    _replace(known, channel)
    for module in list(sys.modules.values()):  # who has imported them by name, before the fork
        names = getattr(module, "__dict__", {})
        for name, old in zip(("display", "clear_output"), before, strict=True):
            if names.get(name) is old:
                names[name] = getattr(known, name)


class _Finder:
    """Has something done with the module, when it is imported.

    Args:
        then: is given the module.
    """

    def __init__(self, then: Callable[[ModuleType], object]) -> None:
        self._then = then

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        loader: Any = spec.loader
        execute = loader.exec_module

        def execute_and_then(module: ModuleType) -> None:
            execute(module)
            self._then(module)

        loader.exec_module = execute_and_then
        return spec


def _replace(functions: Any, channel: SideChannel) -> None:
    """Puts ours in the place of `display` and `clear_output`, for as long as there is no shell."""
    sender = _Sender(channel)
    display_there, clear_there = functions.display, functions.clear_output

    def display(
        *objects: Any,
        include: Any = None,
        exclude: Any = None,
        metadata: Any = None,
        transient: Any = None,
        display_id: Any = None,
        raw: bool = False,
        clear: bool = False,
        update: bool = False,
        **options: Any,
    ) -> Any:
        if _has_shell():
            about = {"include": include, "exclude": exclude, "metadata": metadata, "raw": raw}
            about |= {"transient": transient, "display_id": display_id, "clear": clear}
            return display_there(*objects, **about, **({"update": True} if update else {}))
        if display_id is True:
            display_id = functions._new_id()
        transient = {**(transient or {}), **({"display_id": display_id} if display_id else {})}
        if clear:
            sender.clear_output(wait=True)
        for one in objects:
            data, about = (one, {}) if raw else _formatter().format(one, include, exclude)
            if data:  # else it has displayed itself
                sender.publish(data, {**about, **(metadata or {})}, transient, update=update)
        return functions.DisplayHandle(display_id) if display_id else None

    def clear_output(wait: bool = False) -> None:
        if _has_shell():
            clear_there(wait)
        else:
            sender.clear_output(wait)

    functions.display, functions.clear_output = display, clear_output


def _has_shell() -> bool:
    shell = importlib.import_module("IPython.core.interactiveshell")
    return bool(shell.InteractiveShell.initialized())


@cache
def _formatter() -> Any:
    """What makes the forms of an object, figures of matplotlib's as a notebook has them."""
    formatter = importlib.import_module("IPython.core.formatters").DisplayFormatter()
    png = formatter.formatters["image/png"]
    png.for_type_by_name("matplotlib.figure", "Figure", _png_of)
    return formatter


def _png_of(figure: Any) -> Any:
    tools = importlib.import_module("IPython.core.pylabtools")
    return tools.print_figure(figure, fmt="png", base64=True)


class _Sender:
    def __init__(self, channel: SideChannel) -> None:
        self._channel = channel

    def take_over(self, publisher: Any) -> None:
        """Whatever is published by this one is sent."""
        publisher.publish, publisher.clear_output = self.publish, self.clear_output

    def publish(
        self,
        data: Any,
        metadata: Any = None,
        transient: Any = None,
        update: bool = False,
        **others: Any,
    ) -> None:
        about = {"metadata": metadata or {}, "transient": transient or {}, "update": update}
        text = json.dumps({"data": data, **about}, default=_plain)
        if len(text) > MAX_BYTES:
            data = {"text/plain": f"<not shown: {len(text)} bytes, of {MAX_BYTES} at most>"}
            text = json.dumps({"data": data, "metadata": {}, "transient": {}, "update": update})
        self._send(text)

    def clear_output(self, wait: bool = False) -> None:
        self._send(json.dumps({"clear": bool(wait)}))

    def _send(self, text: str) -> None:
        self._channel.send("display", {"json": text})  # if nobody is there, nobody sees it


def _plain(value: Any) -> str:
    """What JSON has no form of: pictures come as base64, as everywhere in notebooks."""
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    return str(value)
