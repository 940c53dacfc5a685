"""What the log says of other machines, as they come and go."""

from __future__ import annotations

from minipipe.protocol.hosts.offer import Offer


def joined(offer: Offer) -> str:
    """A machine has joined."""
    gpus = f" and {_number(len(offer.gpus), 'GPU')}" if offer.gpus else ""
    tags = f" ({', '.join(offer.tags)})" if offer.tags else ""
    room = f"with room for {_number(offer.slots, 'worker')}{gpus}"
    return f"host {offer.name!r}{tags} has joined, {room}"


def lost(host: str, workers: int, why: str) -> str:
    """A machine is gone, with so many workers."""
    if not workers:
        return f"host {host!r} is gone ({why}); no worker was on it"
    return f"host {host!r} is gone ({why}), and with it {_number(workers, 'worker')}"


def leaving(host: str, why: str) -> str:
    """A machine wants to go."""
    return f"host {host!r} gets no more workers, as it is about to leave ({why})"


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
