"""Scripts with a ZmqSource that waits: Ctrl-C and SIGTERM end them at once, with nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.programs.conftest import LIMIT_S

SCRIPT = """
import sys, threading, time, traceback
import minipipe as mp

def say():  # once the main thread waits: before, a Ctrl-C would be the script's own
    main = threading.main_thread().ident
    while "in close" not in "".join(traceback.format_stack(sys._current_frames()[main])):
        time.sleep(0.01)
    print("waits", flush=True)

pline = mp.PipeLine([mp.ZmqSource(sys.argv[1], bind=True), mp.Sink(print, "sink")])
pline.run()
while "running" not in {worker.state for worker in pline.stats()}:
    pass
threading.Thread(target=say, daemon=True).start()
pline.close()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_script_that_waits_for_messages(
    address: str, place: Path, number: signal.Signals
) -> None:
    (place / "script.py").write_text(SCRIPT)
    script = subprocess.Popen(
        [sys.executable, place / "script.py", address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert script.stdout is not None
    assert script.stdout.readline() == "waits\n"
    if address.startswith("ipc"):
        path = address.removeprefix("ipc://")
        wait_until(lambda: os.path.exists(path), "the socket to be bound")
    script.send_signal(number)
    _, said = script.communicate(timeout=LIMIT_S)
    assert script.returncode in (-number, 128 + number), said
    assert "Traceback" not in said
    if address.startswith("ipc"):
        assert not os.path.exists(path)
