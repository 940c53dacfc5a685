"""What limits a pipeline, and what would mend it: a pure function of its counters.

A segment whose workers are at work all the time is the one that everybody else waits for: those
before it are blocked, those behind it starve.  With more workers it gets faster until the next
busy segment, or the machine, is the limit; so how much that brings can be said beforehand.  (This
is the utilisation law of queueing networks: throughput times service demand is utilisation, and
none can be more than 1.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from minipipe.observe.load import SegmentLoad
from minipipe.observe.pageable import pageable
from minipipe.observe.slow_link import slow_link
from minipipe.protocol.delivery.membership import LOCAL_HOST
from minipipe.protocol.frozen import frozen
from minipipe.protocol.run.link_use import LinkUse

MIN_S = 0.5  # of a shorter run nothing can be said
MIN_ITEMS = 20
BUSY = 0.7  # from this share of its time on, somebody may wait for a segment
FULL = 0.9  # of the cores
OURS = 0.5  # of the cores: so much can be had of a machine that others keep busy
SLOWED = 0.5  # of its time at work somebody waits for a core: what it could do cannot be seen
NOTABLE = 0.1  # shares below are not worth a word
MOST = 8  # times as many workers as now, at most, are suggested
LITTLE = 1.1  # a gain below is none
TINY_S = 100e-6  # of the user's work an item: less than what it costs to hand it over, or about
TINY_SHARE = 0.5
LARGE_BYTES = 64 * 1024  # of an item: it is not the number of items that costs
COPIED_BYTES_S = 12e9  # one core copies no more than about this in a second
COPIED_SHARE = 0.1  # of its time: from here on a copy is worth a word


@frozen
class Verdict:
    """What limits a run.

    Attributes:
        bottleneck: the segment that all others wait for; empty: none, but the whole machine, or a
            link to another one.
        busy: what part of their time its workers are at work.
        workers_now: how many workers it has.
        workers: how many it should have; None: that would not help, or cannot be.
        gain: how many times faster the whole pipeline would be then.
        limit: what limits it then: a segment, a link, or "the machine"; empty: nothing known.
        text: all this in one or two sentences.
    """

    bottleneck: str
    busy: float
    workers_now: int
    workers: int | None
    gain: float
    limit: str
    text: str

    def __str__(self) -> str:
        return self.text


def verdict(
    segments: Sequence[SegmentLoad],
    cores: float,
    idle: float = math.inf,
    links: Sequence[LinkUse] = (),
) -> Verdict | None:
    """What limits this pipeline; None: nothing, or too little is known.

    Args:
        segments: what each has done in the same time, in the order of the pipeline.
        cores: how many the machine has for this process and its workers.
        idle: how many of them nobody used, on average; others may run beside this pipeline.
        links: to other machines, and what went over them.
    """
    lasted_s = max((s.life_s / s.workers for s in segments if s.workers), default=0.0)
    if lasted_s < MIN_S or max(s.items for s in segments) < MIN_ITEMS:
        return None
    # Against the time of the whole pipeline: a Source may have ended long ago.
    busy = [min(1.0, (s.busy_s + s.own_s) / (s.workers * lasted_s)) for s in segments]
    used = sum(s.cpu_here_s for s in segments) / lasted_s
    at = max(range(len(segments)), key=busy.__getitem__)
    its = segments[at]
    tiny = _tiny(its)
    # The scheduler shares out the cores.  So what others take now is not theirs for good: who asks
    # for little gets it (a worker that mostly sleeps is hardly slowed down by a busy machine), and
    # who asks for more gets some.  Only that it waits long for a core says that it is slowed down.
    to_be_had = min(cores, max(used + idle, OURS * cores))
    is_slowed = _core_wait(its) >= SLOWED and used + idle < FULL * cores
    is_full = used >= FULL * to_be_had
    if busy[at] < BUSY and not is_full and (slow := slow_link(segments, links)) is not None:
        limit = f"the link to host {slow.host!r}"
        return Verdict("", busy[at], its.workers, None, 1.0, limit, slow.text)
    if is_full or is_slowed:
        return _full(segments, at, busy[at], used, cores, tiny)
    if busy[at] < BUSY:
        return None
    limits = [(busy[i], f"{s.name!r}") for i, s in enumerate(segments) if i != at]
    if set(its.hosts) <= {LOCAL_HOST}:  # else there is room on others
        limits.append((used / to_be_had, "the machine"))
    next_busy, limit = max(limits, default=(0.0, ""))
    most = busy[at] / next_busy if next_busy > 0 else math.inf
    workers = math.ceil(its.workers * min(most, MOST) - 1e-6)
    gain = min(workers / its.workers, most)
    wanted: int | None = None
    if tiny:
        gain, rest = 1.0, tiny
    elif gain < LITTLE:
        rest = f"{limit} limits right behind it ({next_busy:.0%} busy)."
    elif not its.scalable:
        rest = _not_scalable(its, most, limit)
    else:
        wanted = workers
        now = f"{workers} workers instead of {its.workers}"
        then = f", then {limit} limits" if workers < its.workers * MOST else ""
        rest = f"{now} would make it {gain:.1f} times faster{then}.{_missing(its)}"
    wait = _core_wait(its)
    without = f", {wait:.0%} of that waiting for a core" if wait >= NOTABLE else ""
    head = f"bottleneck: {its.name!r} ({busy[at]:.0%} busy{without}{_others(segments, at)})."
    text = " ".join(filter(None, (head, rest, _copied(its), pageable(its))))
    return Verdict(its.name, busy[at], its.workers, wanted, gain, limit, text)


def _missing(its: SegmentLoad) -> str:
    """That it has fewer workers than the user has asked for: to ask for more is no use then."""
    if not its.missing:
        return ""
    asked = its.workers + its.missing
    return f" ({its.missing} of the {asked} that it is to have had no machine to begin on.)"


def _core_wait(its: SegmentLoad) -> float:
    """What part of its time at work it waited for a core."""
    at_work_s = its.busy_s + its.own_s
    return min(1.0, its.core_wait_s / at_work_s) if at_work_s > 0 else 0.0


def _others(segments: Sequence[SegmentLoad], at: int) -> str:
    """Who waits for the bottleneck: before it, and behind it, the one that waits most."""
    before = max(segments[:at], key=lambda s: s.share(s.blocked_s), default=None)
    behind = max(segments[at + 1 :], key=lambda s: s.share(s.starved_s), default=None)
    words = []
    if before is not None and (blocked := before.share(before.blocked_s)) >= NOTABLE:
        words.append(f"{before.name!r} blocked {blocked:.0%}")
    if behind is not None and (starved := behind.share(behind.starved_s)) >= NOTABLE:
        words.append(f"{behind.name!r} starved {starved:.0%}")
    return f"; {', '.join(words)}" if words else ""


def _full(
    segments: Sequence[SegmentLoad], at: int, busy: float, used: float, cores: float, tiny: str
) -> Verdict:
    all_s = sum(s.cpu_here_s for s in segments) or math.inf
    most = max(segments, key=lambda s: s.cpu_here_s)
    if used < OURS * cores:
        text = (
            f"the machine is full with other work (this run gets {used:.1f} of {cores:g} cores): "
            "what else would limit it cannot be seen."
        )
    else:
        text = (
            f"the machine is full ({used:.1f} of {cores:g} cores are this run's; {most.name!r} "
            f"takes {most.cpu_here_s / all_s:.0%} of that): more workers would not make it "
            "faster, less work an item would."
        )
    its = segments[at]
    text = " ".join(filter(None, (text, tiny, _copied(its), pageable(its))))
    return Verdict("", busy, its.workers, None, 1.0, "the machine", text)


def _tiny(its: SegmentLoad) -> str:
    """What to say of items that are too small for processes; empty: they are not."""
    at_work_s = its.busy_s + its.own_s
    if not its.items or at_work_s <= 0:
        return ""
    busy_s = its.busy_s / its.items
    if max(its.bytes_in, its.bytes_out) > LARGE_BYTES * its.items:
        return ""
    if busy_s > TINY_S or its.own_s < TINY_SHARE * at_work_s:
        return ""
    own_us, busy_us = 1e6 * its.own_s / its.items, 1e6 * busy_s
    return (
        f"Its items are too small: {busy_us:.0f} us of work each, and {own_us:.0f} us to hand "
        "them over; put them together (batch=, mp.Batch)."
    )


def _copied(its: SegmentLoad) -> str:
    """What to say of copies that it gets of large arrays; empty: they cost next to nothing."""
    at_work_s = its.busy_s + its.own_s
    if not its.writable or not its.items or its.bytes_in < LARGE_BYTES * its.items:
        return ""
    share = its.bytes_in / COPIED_BYTES_S / at_work_s if at_work_s > 0 else 0.0
    if share < COPIED_SHARE:
        return ""
    return (
        f"At least {min(share, 1.0):.0%} of its time goes to copies for it to write into "
        f"(writable=True; {its.bytes_in / its.items / 1e6:.1f} MB an item): if it only reads, "
        "leave that away."
    )


def _not_scalable(its: SegmentLoad, most: float, limit: str) -> str:
    gain = f"up to {most:.1f} times faster, then {limit} limits" if most < MOST else "faster"
    match its.kind:
        case "caller":
            return f"Nothing else would help: with less work in the loop it would be {gain}."
        case "source":
            return (
                f"With a faster Source the pipeline would be {gain}: move work from it into a "
                "Transform, which may have several workers."
            )
    return f"It has one worker only: with less work in it the pipeline would be {gain}."
