"""Runs the functor of a Regulator on items as a worker does, without a worker."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any

from minipipe.segments.coroutine import Coroutine
from minipipe.segments.functor import Opened, coroutine_kwargs
from minipipe.segments.kinds import Regulator


def outputs(
    segment: Regulator,
    items: Iterable[Any],
    ignored: tuple[type[BaseException], ...] = (),
    results: list[Any] | None = None,
) -> list[Any]:
    """What `segment` passes on for a stream of `items`, in a worker that it was pickled to."""
    segment.check_call(1)
    functor = pickle.loads(pickle.dumps(segment.functor_obj))
    opened = Opened.open(functor, segment.init_kwargs)
    kwargs = coroutine_kwargs(functor, segment.init_kwargs)
    coroutine = Coroutine(lambda: opened.call(**kwargs), segment.where)
    coroutine.prime()
    passed_on: list[Any] = []
    for item in items:
        try:
            output = coroutine.send(item)
            while output is not None:
                passed_on.append(output)
                output = coroutine.more()
        except ignored:
            pass
    output = coroutine.finish()
    while output is not None:
        passed_on.append(output)
        output = coroutine.more()
    if opened.local_term is not None and results is not None:
        results.append(opened.local_term())
    return passed_on
