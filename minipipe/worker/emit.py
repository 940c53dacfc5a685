"""Putting what a functor gives into one or several streams."""

from __future__ import annotations

import time
from typing import Any

from minipipe.functor import outputs_of
from minipipe.pure.paths import Path
from minipipe.worker.body import Body


class Emitter:
    """Puts results, one at a time: with several downstreams, element i to downstream i."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._outlets = body.outlets
        self._forks = len(body.outlets) > 1

    def put(
        self,
        result: Any,
        began_s: float,
        *,
        item: Any = None,
        number: int | None = None,
        origin: int | None = None,
    ) -> bool:
        """Sends a result under numbers of this worker's own; False if there was nothing to send.

        Raises:
            Broken: it does not fit the downstreams, or cannot be sent.
        """
        origin = self._body.node.ident if origin is None else origin
        outputs = self._split(result, number, item, origin)
        sent = False
        for outlet, output in zip(self._outlets, outputs, strict=True):
            if output is None:
                continue
            sent = True
            if not outlet.ready:
                self._body.wait_for_room(outlet)
            self._add(outlet, output, number, item, origin)
            outlet.added(began_s, time.monotonic(), 1)
        return sent

    def relay(
        self,
        result: Any,
        began_s: float,
        item: Any,
        number: int,
        origin: int,
        epoch: int,
        path: Path,
    ) -> bool:
        """Passes a result on under the identity of the item that it was made of."""
        outputs = self._split(result, number, item, origin)
        mask = tuple(i for i, output in enumerate(outputs) if output is not None)
        for i in mask:
            outlet = self._outlets[i]
            if not outlet.ready:
                self._body.wait_for_room(outlet)
            outlet.relay(origin, epoch, (*path, (i, mask)) if self._forks else path)
            if not outlet.ready:  # a new path begins a new parcel
                self._body.wait_for_room(outlet)
            self._add(outlet, outputs[i], number, item, origin)
            outlet.numbers.append(number)
            outlet.added(began_s, time.monotonic(), 1)
        return bool(mask)

    def flush(self) -> None:
        """Sends what waits for others to share its parcel."""
        for outlet in self._outlets:
            outlet.flush()

    def _split(self, result: Any, number: int | None, item: Any, origin: int) -> tuple[Any, ...]:
        if not self._forks:
            return (result,) if self._outlets else ()
        try:
            return outputs_of(result, len(self._outlets), self._body.where)
        except ValueError as error:
            raise self._body.broken(error, number, item, origin) from error

    def _add(self, outlet: Any, output: Any, number: int | None, item: Any, origin: int) -> None:
        try:
            outlet.add(output)
        except Exception as error:  # pickling runs code of the user's classes
            raise self._body.broken(error, number, item, origin) from error
