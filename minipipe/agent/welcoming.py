"""Whether an agent may join a run, by what it says of itself; and what it is told of the run."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from minipipe.errors import JoinError, WireFormatError
from minipipe.errors.cause import because
from minipipe.protocol.hosts.joining import Answer, Refused, Welcome
from minipipe.protocol.hosts.names import LOCAL
from minipipe.protocol.hosts.offer import Offer, read_facts, read_offer, welcomed
from minipipe.protocol.hosts.versions import compare, from_facts
from minipipe.supervisor.hosts.gateway_words import About


@dataclass(frozen=True)
class Told:
    """What an agent knows of the run that it has joined.

    Attributes:
        run: its name, for people.
        name: that of the agent's machine in the run.
        lost_after_s: how long the run may be silent.
    """

    run: str
    name: str
    lost_after_s: float


@dataclass(frozen=True)
class Decision:
    """What became of a wish to join.

    Attributes:
        answer: to the agent.
        offer: by the name that its machine has in the run; None: it may not join.
        note: for the log of the run, if there is something to say.
    """

    answer: Answer
    offer: Offer | None = None
    note: str = ""


def decide(content: bytes, about: About, taken: Collection[str]) -> Decision:
    """What an agent is answered.

    Args:
        content: what it has said of itself.
        about: the run.
        taken: the names of machines that have joined.
    """
    try:  # versions first: an offer of another one may look otherwise
        theirs = from_facts(read_facts(content))
        name = _name_in(content)
        verdict = compare(about.versions, theirs, needed=about.needed, their_name=name)
        if verdict.refused:
            return Decision(Refused(verdict.why), note=f"{name} may not join: {verdict.why}")
        offer = welcomed(read_offer(content), {LOCAL, *taken})
    except WireFormatError as error:
        return Decision(Refused(f"this is no offer of a machine: {error}"), note=str(error))
    told = {"run": about.name, "name": offer.name, "lost_after_s": about.lost_after_s}
    return Decision(Welcome(json.dumps(told).encode()), offer, "; ".join(verdict.warnings))


def _name_in(content: bytes) -> str:
    """How the machine is called that makes this offer, if it is one that can be read."""
    try:
        return f"host {read_offer(content).name!r}"
    except WireFormatError:
        return "a host"


def read_told(content: bytes, where: str) -> Told:
    """What the run has told.

    Args:
        where: the addresses of the run.

    Raises:
        JoinError: it is something else.
    """
    try:
        found = json.loads(content)
        return Told(str(found["run"]), str(found["name"]), float(found["lost_after_s"]))
    except (ValueError, KeyError, TypeError) as error:
        refused = JoinError(where, f"it has said something else than a run does: {error}")
        raise because(refused, error) from error
