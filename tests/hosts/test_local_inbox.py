"""Where workers put what is for other hosts: what they send arrives there as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from minipipe.transport import open_transport
from minipipe.transport.hosts.local_inbox import LocalInbox
from tests.conftest import wait_until


@pytest.mark.parametrize(
    "message",
    [
        [b"route", b"head"],
        [b"+"],
        [b"+", b"+"],
        [b"", b""],
        [b"x" * 100_000],
        [b"r", b"y" * 100_000],
    ],
    ids=["two", "+", "++", "empties", "large", "large behind"],
)
def test_a_message_arrives_whole_and_byte_for_byte(tmp_path: Path, message: list[bytes]) -> None:
    inbox, transport = LocalInbox(str(tmp_path)), open_transport(f"ipc://{tmp_path}")
    try:
        outlet = transport.connect(inbox.bound_address)
        outlet.send(message)
        outlet.close()
        arrived: list[object] = []

        def has_come() -> bool:
            arrived[:] = inbox.receive() or ()
            return bool(arrived)

        wait_until(has_come, "the message")
        assert [bytes(frame) for frame in arrived] == message  # type: ignore[call-overload]
    finally:
        transport.close()
        inbox.close()
