"""The gateway of a run, asked by hand."""

from __future__ import annotations

import os
import select
import socket
from pathlib import Path
from typing import Any, cast

from minipipe.process.versions import versions
from minipipe.supervisor.hosts.gateway_client import GatewayClient
from minipipe.supervisor.hosts.gateway_words import About, Ask, Package, Setup, Tell
from minipipe.supervisor.shared_page import page_of_worker
from minipipe.transport.curve import CurveKeys
from tests.conftest import DEADLOCK_S

NOTHING = cast(Any, None)


def test_a_worker_that_was_sent_to_a_lost_machine_is_known_to_be_lost(tmp_path: Path) -> None:
    keys = CurveKeys.new()
    about = About("run", 15.0, versions(), (), b"", b"")
    setup = Setup(
        name="run",
        bind="tcp://127.0.0.1:0",
        directory=str(tmp_path),
        supervisor=f"ipc://{tmp_path}/supervisor",
        public=keys.public,
        secret=keys.secret,
        guest_key=CurveKeys.new().public,
        lost_after_s=15.0,
        is_plain=False,
        about=about,
    )
    gateway, page = GatewayClient(), page_of_worker()
    ours, theirs = socket.socketpair()
    try:
        assert gateway.begin(setup) > 0
        given = [os.dup(1), os.dup(1), os.dup(1), page.fd, theirs.fileno()]
        gateway.ask(Ask.WORKER, 7, fds=given)
        for fd in given[:3]:
            os.close(fd)
        gateway.ask(Ask.PLACE, 7, "gone", Package(NOTHING, NOTHING, 15.0, None, NOTHING, {}))
        said: list[Any] = []
        while not said:
            assert select.select([gateway], [], [], DEADLOCK_S)[0], "it says nothing"
            said = list(gateway.told())
        assert said[0].word == Tell.ZYGOTE_LOST
        assert said[0].fields[:2] == ("gone", (7,))
    finally:
        gateway.close()
        page.close()
        for end in (ours, theirs):
            end.close()
