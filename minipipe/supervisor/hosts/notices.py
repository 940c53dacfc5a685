"""What the log says of other machines, as they come and go."""

from __future__ import annotations

from collections.abc import Mapping

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


def leaving(host: str, why: str, moving: Mapping[str, int], staying: Mapping[str, int]) -> str:
    """A machine wants to go.

    Args:
        moving: how many workers of which segment go on elsewhere.
        staying: those that cannot.
    """
    parts = [f"host {host!r} gets no more workers, as it is about to leave ({why})"]
    if moving:
        parts.append(f"{_workers(moving)} to go on elsewhere")
    if staying:
        parts.append(
            f"{_workers(staying)} to stay until the end, or until it is told again, as what is "
            "not a stateless Transform cannot go on elsewhere"
        )
    return "; ".join(parts)


def _workers(of: Mapping[str, int]) -> str:
    return ", ".join(f"{count} of {name!r}" for name, count in of.items()) + (
        " is" if sum(of.values()) == 1 else " are"
    )


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
