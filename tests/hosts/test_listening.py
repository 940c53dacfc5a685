"""Where an agent listens, and which addresses of another one it goes to."""

from __future__ import annotations

import socket

import pytest

from minipipe.errors import UsageError
from minipipe.process.addresses import own_addresses
from minipipe.protocol.hosts.endpoints import Endpoint, read_endpoints
from minipipe.transport.curve import NO_KEY, CurveKeys
from minipipe.transport.hosts import listening
from minipipe.transport.hosts.host_sockets import HostSockets
from minipipe.transport.hosts.listening import Listening, check_port, listen

OURS = Listening(CurveKeys.new(), ())


def test_an_address_that_both_have_is_not_where_the_other_one_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "own_addresses", lambda **_: ["10.0.0.1", "172.17.0.1"])
    far, bridge = Endpoint("10.0.0.2", 7712), Endpoint("172.17.0.1", 7712)
    here, loopback = Endpoint("10.0.0.1", 7712), Endpoint("127.0.0.1", 7712)
    assert OURS.from_here([loopback, far, bridge]) == [far]
    assert OURS.from_here([loopback, here, bridge]) == [loopback, here, bridge]


def test_it_goes_out_by_the_address_that_was_wished() -> None:
    ours = Listening(CurveKeys.new(), (), "10.0.0.1")
    both = read_endpoints("tcp://10.0.0.2:7712 tcp://[fd77::2]:7712")
    assert ours.from_here(both) == [Endpoint("10.0.0.2", 7712, "10.0.0.1")]
    with pytest.raises(ValueError, match="none of its addresses"):
        ours.from_here(both[1:])


def test_without_encryption_nobody_has_a_key() -> None:
    assert OURS.server_key("k") == "k"
    assert Listening(CurveKeys.new(), (), is_plain=True).server_key("k") == NO_KEY


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_where_it_has_reached_the_run_others_are_told_first(host: str) -> None:
    keys = CurveKeys.new()
    sockets = HostSockets("a test", keys)
    try:
        found = listen(sockets, Endpoint(host, 7711), 0)
    finally:
        sockets.close()
    assert found.endpoints[0].host == host and found.endpoints[0].port > 0
    assert found.keys != keys
    others = {one.host for one in found.endpoints[1:]}
    assert others <= set(own_addresses(ipv6=True)) and not others & {"127.0.0.1", "::1"}


def test_by_a_wished_address_others_are_told_of_that_alone() -> None:
    sockets = HostSockets("a test", CurveKeys.new())
    try:
        found = listen(sockets, Endpoint("10.0.0.7", 7711, "127.0.0.1"), 0)
    finally:
        sockets.close()
    assert [one.host for one in found.endpoints] == ["127.0.0.1"]


def test_a_port_that_somebody_has_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"--port {port} cannot be had: Address already in"):
            check_port(port, "127.0.0.1")
    check_port(port, "127.0.0.1")
