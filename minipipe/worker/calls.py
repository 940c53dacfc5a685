"""Every call of the user's code in a worker, and what hangs around it.

Around each call stand the hand-over of the node (`stream.handover`) and what the supervisor sees of
it on the status page: the number of the item, whose it is, and how many calls there were, by which
hangs and deaths are attributed.  What else is to happen at each call is a hook (`worker.hooks`).

An item at a time goes by `Calls.at`, what belongs to no item by `Calls.outside`.  The hot loops
(`fast_path`, `source`, `bundles`) do the same as `at` in line, and get the function with its hooks
from `Calls.hooked`: without hooks that is the function itself, mostly, so nobody pays for what is
not there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from minipipe.protocol.delivery.paths import ROOT, Path, outputs
from minipipe.stream import Node
from minipipe.stream.duties import LISTEN_S
from minipipe.stream.page import ITEM_WORD, OUTSIDE, WORD
from minipipe.stream.time_use import BUSY, OWN
from minipipe.worker.busy_meter import BusyMeter
from minipipe.worker.hooks import Hook
from minipipe.worker.service_thread import ServiceThread

_ORIGIN: Final = WORD["origin"]
_TURNS: Final = WORD["turns"]


class Calls:
    """Calls the user's code, and keeps the node and the service thread out of its way.

    Args:
        hooks: what is done around each call at an item.
    """

    def __init__(
        self, node: Node, service_thread: ServiceThread, hooks: Sequence[Hook] = ()
    ) -> None:
        self._node = node
        self._handover = node.handover
        self._service_thread = service_thread
        self._time_use = node.time_use
        self._meter = BusyMeter(node.time_use)
        self._origin: int = node.ident
        self._path: Path = ROOT
        self._before = [hook.before for hook in hooks if type(hook).before is not Hook.before]
        self._after = [hook.after for hook in hooks if type(hook).after is not Hook.after]

    def begin(self, origin: int, path: Path) -> None:
        """The next items stem from this worker, and went by this path: once for a parcel."""
        if path or self._path:
            self._node.page.begin(origin, path)
        else:  # the same, without a call that is not compiled
            words = self._handover.words
            words[_ORIGIN] = origin
            words[_TURNS] += 1
        self._origin, self._path = origin, path

    def hooked(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with all hooks around it, for calls at items of what was begun last.

        To be asked for once a stride: some of them are timed (`worker.busy_meter`).
        """
        function = self._meter.around(function)
        before, after = self._before, self._after
        if not before and not after:
            return function
        words, origin, path = self._handover.words, self._origin, outputs(self._path)

        def call(*args: Any) -> Any:
            number = words[ITEM_WORD] - 1
            for hook in before:
                hook(origin, number, path)
            try:
                return function(*args)
            finally:
                for hook in after:
                    hook(origin, number, path)

        return call

    def at(self, number: int, function: Callable[..., Any], *args: Any) -> Any:
        """Calls the functor at the item of this number; then sees what the service thread has met.

        The general way, for an item at a time.  What the functor raises passes through, with
        the node still handed over: `Handover.leave` takes it back.
        """
        handover, node = self._handover, self._node
        self._service_thread.watch(time.monotonic(), node.duties.due_s())
        handover.enter(number + 1)
        result = self.hooked(function)(*args)
        if handover.leave():
            self.check()
            for outlet in node.outlets.values():
                outlet.reconsider()
        return result

    def outside(self, function: Callable[..., Any], *args: Any) -> Any:
        """Calls the user's code, outside of any item; the service thread serves meanwhile.

        May raise anything, and StopRun at any moment of the call.
        """
        self._service_thread.watch(time.monotonic(), LISTEN_S)
        try:
            self._handover.enter(OUTSIDE)
            self._time_use.enter(BUSY)
            return function(*args)
        finally:
            self._time_use.enter(OWN)
            self._handover.leave()

    def check(self) -> None:
        """Raises StopRun if the run is to end, PassLeft if the pass is; what that thread met."""
        if self._service_thread.failure is not None:
            raise self._service_thread.failure
        self._node.orders.check()
