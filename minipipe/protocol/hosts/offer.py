"""What a machine offers to a run: what it is called, how many workers it takes, which GPUs it has.

It is said by an agent that joins, in JSON: plain data, and little of it.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import field, replace
from typing import Any, NoReturn

from minipipe.errors import WireFormatError
from minipipe.errors.cause import because
from minipipe.protocol.frozen import frozen
from minipipe.protocol.hosts.names import ANY, LOCAL, distinct, is_name

MAX_SLOTS = 65_536
MAX_LISTED = 1024  # GPUs, tags, facts: of each of them
MAX_CHARACTERS = 1024  # of a text
_FIELDS = {"name": str, "slots": int, "gpus": list, "tags": list, "pid": int, "facts": dict}


@frozen
class Offer:
    """A machine, as far as a run has to know it.

    Attributes:
        name: no two of a run have the same.
        slots: so many workers it takes at once.
        gpus: that it has, each as CUDA_VISIBLE_DEVICES would name it.
        tags: that `on=` of a segment may ask for; the name counts as one, too.
        pid: of the agent.
        facts: what else is to be known of it, such as versions.
    """

    name: str
    slots: int
    gpus: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    pid: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)

    def has(self, place: str) -> bool:
        """Whether a worker that asks for this place may run here."""
        return place in (ANY, self.name, *self.tags)


def write_offer(offer: Offer) -> bytes:
    """The bytes of an offer, for `JoinRequest.about`."""
    content = {name: getattr(offer, name) for name in _FIELDS}
    return json.dumps({**content, "facts": dict(offer.facts)}, separators=(",", ":")).encode()


def read_offer(content: bytes) -> Offer:
    """The offer.

    Raises:
        WireFormatError: these are not the bytes of one.
    """
    try:
        found = json.loads(content, parse_constant=_refuse, parse_float=_refuse)
        return _checked(found)
    except (ValueError, RecursionError) as error:  # (also of bytes that are no UTF-8)
        unreadable = WireFormatError(f"an offer of a machine that is none: {error}")
        raise because(unreadable, error) from error


def read_facts(content: bytes) -> Mapping[str, str]:
    """The facts of an offer of any version, whatever its fields; none: there are none.

    So a machine with another MiniPipe hears which versions differ, and not that its offer is none.
    """
    try:
        found = json.loads(content, parse_constant=_refuse, parse_float=_refuse)
    except (ValueError, RecursionError):
        return {}
    facts = found.get("facts") if type(found) is dict else None
    if type(facts) is not dict or len(facts) > MAX_LISTED:
        return {}
    texts = [*facts, *facts.values()]
    return facts if all(type(t) is str and len(t) <= MAX_CHARACTERS for t in texts) else {}


def welcomed(offer: Offer, taken: Container[str]) -> Offer:
    """The offer by the name that its machine has in the run: the second "node" is "node-2"."""
    return replace(offer, name=distinct(offer.name, taken))


def _checked(found: Any) -> Offer:
    if type(found) is not dict or found.keys() != _FIELDS.keys():
        raise ValueError("it has other fields")
    for name, kind in _FIELDS.items():
        if type(found[name]) is not kind:
            raise ValueError(f"{name} is {type(found[name]).__name__}")
    gpus, tags, facts = found["gpus"], found["tags"], found["facts"]
    texts = [*gpus, *tags, *facts.values()]
    if not all(type(text) is str for text in texts):
        raise ValueError("something in it is no text")
    if max(map(len, (gpus, tags, facts))) > MAX_LISTED:
        raise ValueError("it lists too much")
    if max(map(len, [*texts, *facts, ""])) > MAX_CHARACTERS:
        raise ValueError("a text in it is too long")
    if not 0 < found["slots"] <= MAX_SLOTS or not 0 <= found["pid"] < 1 << 32:
        raise ValueError("a number in it is out of range")
    for name in (found["name"], *tags):
        if not is_name(name) or name in (LOCAL, ANY):
            raise ValueError("a name in it is none")
    if len(set(gpus)) < len(gpus) or not all(map(_is_gpu, gpus)):
        raise ValueError("its GPUs are none")
    return Offer(found["name"], found["slots"], tuple(gpus), tuple(tags), found["pid"], facts)


def _is_gpu(text: str) -> bool:
    return bool(text) and "," not in text and text.isascii() and text.isprintable()


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text:.20} is no whole number")
