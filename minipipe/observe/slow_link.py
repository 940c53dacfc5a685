"""Whether a run waits for a link between machines: a pure function of what went over it.

Then those who send are blocked, those who receive on the other machine starve, and nobody is at
work: more workers would wait for the same link.
"""

from __future__ import annotations

from collections.abc import Sequence

from minipipe.observe.load import SegmentLoad
from minipipe.protocol.frozen import frozen
from minipipe.protocol.run.link_use import LinkUse

WAITS = 0.5  # from this share of its time on, a segment waits for others
OCCUPIED = 0.7  # from this share of its time on, a link has hardly ever nothing under way
PART = 0.1  # of what a segment sends or gets, as a link has at least that its items go over
SMALL_BYTES = 4096  # an item below is none that takes long to carry,
LITTLE_BYTES_S = 1e6  # if the link carries no more than this of them
_ADVICE = (
    "More workers would not make it faster: less to send would (smaller items, or segments beside "
    "each other on one machine, by on=)."
)


@frozen
class SlowLink:
    """A link that a run waits for.

    Attributes:
        host: the machine that it leads to.
        text: what is to be said.
    """

    host: str
    text: str


def slow_link(segments: Sequence[SegmentLoad], links: Sequence[LinkUse]) -> SlowLink | None:
    """The link that this pipeline waits for, if nobody in it is busy; None: none.

    Args:
        segments: what each has done, in the order of the pipeline.
        links: those of the run.
    """
    used = {use.host: use for use in links if _share(use) >= OCCUPIED}
    for at, sender in enumerate(segments):
        blocked = sender.share(sender.blocked_s)
        if blocked < WAITS:
            continue
        for receiver in segments[at + 1 :]:
            starved = receiver.share(receiver.starved_s)
            on = {*sender.hosts, *receiver.hosts}
            slow = [used[h] for h in on if h in used and _carries(used[h], sender, receiver)]
            if starved >= WAITS and len(on) > 1 and slow:
                waits = f"{sender.name!r} blocked {blocked:.0%}, {receiver.name!r} starved "
                most = max(slow, key=_share)
                advice = _advice(most, sender)
                return SlowLink(most.host, f"{_head(most)}; {waits}{starved:.0%}). {advice}")
    return None


def _carries(use: LinkUse, sender: SegmentLoad, receiver: SegmentLoad) -> bool:
    """Whether the items of these go over it.

    Agents have links of their own to each other: then this one has what is said of items alone,
    which is under way all the time, too, and was taken for what all wait for.
    """
    parts = [
        size_bytes / len(one.hosts)
        for one, size_bytes in ((sender, sender.bytes_out), (receiver, receiver.bytes_in))
        if use.host in one.hosts
    ]
    return max(use.to_bytes, use.from_bytes) >= PART * min(parts, default=0.0)


def _advice(use: LinkUse, sender: SegmentLoad) -> str:
    item_bytes = sender.bytes_out / sender.items_out if sender.items_out else 0.0
    bytes_s = max(use.to_bytes, use.from_bytes) / use.seconds if use.seconds else 0.0
    if not 0 < item_bytes < SMALL_BYTES or bytes_s > LITTLE_BYTES_S:
        return _ADVICE
    return (
        f"Its items are small ({item_bytes:.0f} B each): what takes so long may be the way there "
        "and back, and more of them at a time would help (batch=, buffer_size=)."
    )


def _share(use: LinkUse) -> float:
    return max(use.to_share, use.from_share)


def _head(use: LinkUse) -> str:
    way, size_bytes, under_way_s = "to", use.to_bytes, use.to_s
    if use.from_bytes > use.to_bytes:  # in the other way, acknowledgements wait behind that
        way, size_bytes, under_way_s = "from", use.from_bytes, use.from_s
    rate = size_bytes / under_way_s / 1e6 if under_way_s > 0 else 0.0
    return f"bottleneck: the link {way} host {use.host!r} (it carries {rate:.2g} MB/s"
