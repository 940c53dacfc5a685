"""A run that other machines may join: its keys, its port, and the token that invites them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection

from minipipe.errors import OptionError, StartError
from minipipe.process.addresses import own_addresses
from minipipe.process.logs import SUMMARY
from minipipe.process.versions import packages_of, versions
from minipipe.protocol.admission import KEY_BYTES
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.protocol.hosts.token import MAX_ADDRESSES, Token
from minipipe.supervisor.hosting import EXAMPLE, Hosting
from minipipe.supervisor.hosts.gateway_client import GatewayClient
from minipipe.supervisor.hosts.gateway_words import About, Setup
from minipipe.supervisor.installed import installed_for
from minipipe.supervisor.shipping.collect import collect, script_file
from minipipe.transport import LOCAL, NATIVE
from minipipe.transport.addresses import parse_address
from minipipe.transport.hosts.invitation import guest_keys
from minipipe.transport.hosts.local_inbox import gateway_address
from minipipe.transport.hosts.run_keys import RunKeys
from minipipe.transport.token_text import write_token
from minipipe.worker.spec import current_directory

__all__ = ["announce", "gateway_address", "open_gateway"]

logger = logging.getLogger("minipipe")

_ANYWHERE = ("*", "0.0.0.0", "::")


def open_gateway(
    hosting: Hosting, directory: str, supervisor: str, modules: Collection[str]
) -> tuple[GatewayClient, Token]:
    """Has a gateway listen, and makes the token by which others come to it.

    Args:
        directory: of the run.
        supervisor: the address of its inbox.
        modules: that functors name.

    Raises:
        OptionError: `ship` names what is not there.
        StartError: the code to be shipped is too much, it cannot listen there, or nobody
            elsewhere could come.
    """
    about = _about(hosting, modules)
    is_plain, made = hosting.security == "none", _keys(hosting)
    # The port is known when it listens, and the keys of guests before.
    keys, draft = made.server, made.token
    gateway = GatewayClient()
    try:
        port = gateway.begin(
            Setup(
                name=hosting.name,
                bind=hosting.bind,
                directory=directory,
                supervisor=supervisor,
                public=keys.public,
                secret=keys.secret,
                guest_key=guest_keys(draft).public,
                lost_after_s=hosting.lost_after_s,
                is_plain=is_plain,
                about=about,
                trust=LOCAL if hosting.allow_pickle else NATIVE,
            )
        )
        if hosting.keys is not None:
            token = draft  # others have it already, with the addresses that its maker has named
        else:
            endpoints = tuple(Endpoint(host, port) for host in _hosts(hosting.bind))
            server_key = bytes(KEY_BYTES) if is_plain else draft.server_key
            token = Token(endpoints[:MAX_ADDRESSES], server_key, draft.secret)
        if is_plain:
            logger.warning(
                "security='none' of run: what goes between machines can be read and changed by "
                "whoever is on the network, and so can the token, by which they run code here"
            )
        if hosting.token_file is not None:
            write_token(token, hosting.token_file)
    except OSError as error:
        gateway.close()
        raise StartError(
            f"token_file={hosting.token_file!r} of run cannot be written: {error.strerror or error}"
        ) from error
    except BaseException:
        gateway.close()
        raise
    return gateway, token


def _about(hosting: Hosting, modules: Collection[str]) -> About:
    """What agents are told, with the user's code."""
    script, cwd = script_file(), current_directory()
    shipment = collect(modules, hosting.ship, script=script, cwd=cwd)
    logger.log(SUMMARY, "%s", shipment)
    return About(
        name=hosting.name,
        lost_after_s=hosting.lost_after_s,
        versions=versions(),
        needed=packages_of([*modules, *installed_for(modules)]),
        manifest=shipment.manifest_bytes,
        shipped=shipment.packed(),
    )


def _hosts(bind: str) -> list[str]:
    """Where others can reach what is bound there."""
    address = parse_address(f"{bind.rpartition(':')[0]}:1", "run", bind=True)
    host = address.host.strip("[]")
    if host not in _ANYWHERE:
        return [host]
    found = own_addresses(ipv6=address.is_ipv6)
    if not found:
        raise StartError(f"bind={bind!r} of run: this machine has no address for others to go to")
    return found


def _keys(hosting: Hosting) -> RunKeys:
    """Those that were made before, or new ones (whose token has no address yet)."""
    if hosting.keys is None:
        return RunKeys.new([Endpoint("127.0.0.1", 1)])
    try:
        return RunKeys.load(hosting.keys)
    except (OSError, OptionError) as error:
        why = error.strerror or error if isinstance(error, OSError) else error
    raise StartError(f"keys={hosting.keys!r} of run cannot be used: {why}")


def announce(token: Token, hosting: Hosting) -> None:
    """Prints the line to paste on another machine.

    The token itself, unless others have it already, or it is in a file and this may be a log.
    """
    who = "other machines join it"
    places = [parse_address(one.address, "run", bind=False) for one in token.endpoints]
    if all(place.is_local for place in places):
        who = (
            f"agents on this machine join it, and on no other, as bind={hosting.bind!r} is on "
            f"loopback ({EXAMPLE} would take others),"
        )
    is_in_a_log = not sys.stderr.isatty()
    text, where = token.text, ""
    if hosting.token_file is not None and (hosting.keys is not None or is_in_a_log):
        text = f"@{hosting.token_file}"
    elif hosting.keys is not None:
        text, where = "@FILE", " (FILE has the token that was made with its keys)"
    elif hosting.token_file is not None:
        where = f" (the token is in {hosting.token_file!r}, too)"
    logger.log(SUMMARY, "run %r: %s by this line%s", hosting.name, who, where)
    sys.stderr.write(f"minipipe agent --join {text}\n")
    sys.stderr.flush()
