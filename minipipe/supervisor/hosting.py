"""What the user wishes of a run that other machines may join: the options that go with `bind=`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from types import ModuleType
from typing import Any

from minipipe.errors import OptionError
from minipipe.protocol.frozen import frozen
from minipipe.protocol.hosts.names import as_name, is_name
from minipipe.segments.options import check_choice, check_flag, check_path, check_seconds
from minipipe.supervisor.shipping.wish import Wish, check_ship

Ship = bool | Sequence[str | os.PathLike[str] | ModuleType]
EXAMPLE = "bind='tcp://0.0.0.0:7711'"


@frozen
class Hosting:
    """The options of a run with `bind=`, checked.

    Attributes:
        bind: where other machines come to, `tcp://HOST:PORT`; port 0 is any that is free.
        name: of the run, for who looks at it.
        token_file: the path of a file that gets the token; None: none does.
        keys: the path of a file that `minipipe keys` has written; None: the run makes its own.
        place_timeout_s: how long workers wait for a machine; None: as long as it takes.
        lost_after_s: a machine that is silent for so long is lost.
        state_lost_after_s: the same of a machine that has workers with state.
        security: "curve", or "none".
        ship: whether the user's own modules are sent to other machines; or what is, beside those
            that functors need: names of modules, and paths.
        allow_pickle: items that have no native form may cross as pickles.
    """

    bind: str
    name: str = "run"
    token_file: str | None = None
    keys: str | None = None
    place_timeout_s: float | None = None
    lost_after_s: float = 15.0
    state_lost_after_s: float = 300.0
    security: str = "curve"
    ship: Wish = True
    allow_pickle: bool = False


HOSTING_OPTIONS = tuple(one.name for one in fields(Hosting))
DEFAULTS: dict[str, Any] = {
    **{one.name: one.default for one in fields(Hosting)},
    **dict.fromkeys(("bind", "name")),
}


def check_hosting(given: dict[str, Any]) -> Hosting | None:
    """The options of `run` that are about other machines; None: there are none.

    Raises:
        OptionError: one has a value that it cannot have, or needs `bind=`.
    """
    wished = {**DEFAULTS, **given}
    if wished["bind"] is None:
        for name in HOSTING_OPTIONS:
            if wished[name] is not DEFAULTS[name] and wished[name] != DEFAULTS[name]:
                raise OptionError(
                    f"{name}={wished[name]!r} of run is about other machines, which can join it "
                    f"only where it has an address: add {EXAMPLE}"
                )
        return None
    lost_after_s = _seconds(wished, "lost_after_s")
    state_lost_after_s = _seconds(wished, "state_lost_after_s")
    if state_lost_after_s < lost_after_s:
        raise OptionError(
            f"state_lost_after_s of run is at least lost_after_s ({lost_after_s:g} s), got "
            f"{state_lost_after_s:g}"
        )
    if wished["keys"] is not None and wished["security"] == "none":
        raise OptionError("keys= of run is for security='curve': without that there are none")
    return Hosting(
        _bind(wished["bind"]),
        _name(wished["name"]),
        check_path(wished["token_file"], "token_file", "run"),
        check_path(wished["keys"], "keys", "run"),
        check_seconds(wished["place_timeout_s"], "place_timeout_s", "run"),
        lost_after_s,
        state_lost_after_s,
        check_choice(wished["security"], "security", "run", ("curve", "none")),
        check_ship(wished["ship"]),
        check_flag(wished["allow_pickle"], "allow_pickle", "run"),
    )


def _bind(bind: Any) -> str:
    # Only here, as it comes with ZeroMQ, which a run inline does not need.
    from minipipe.transport.addresses import parse_address

    says = f"bind of run is 'tcp://HOST:PORT', as in {EXAMPLE}, got {bind!r}"
    if not isinstance(bind, str) or not bind.startswith("tcp://"):
        raise OptionError(says)
    any_port = bind.endswith(":0")
    try:
        parse_address(f"{bind[:-1]}1" if any_port else bind, "run", bind=True)
    except OptionError as error:
        why = str(error).rpartition(f"got {bind!r}")[2] if not any_port else ""
        raise OptionError(f"{says}{why}") from None
    return bind


def _name(name: Any) -> str:
    if name is None:
        script = os.path.splitext(os.path.basename(sys.argv[0] if sys.argv else ""))[0]
        return as_name(script, "run")
    if not isinstance(name, str) or not is_name(name):
        raise OptionError(
            "name of run is a short text of letters, digits, '.', '-' and '_', got " + repr(name)
        )
    return name


def _seconds(wished: dict[str, Any], name: str) -> float:
    seconds = check_seconds(wished[name], name, "run")
    if seconds is None:
        raise OptionError(f"{name} of run is a positive number of seconds, got None")
    return seconds
