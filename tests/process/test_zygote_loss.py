"""Zygotes that are lost, refused or broken: one death, told as what it is, and others go on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import minipipe as mp
from tests.conftest import DEADLOCK_S, wait_until
from tests.process.functors import Collect


def whose(item: int) -> tuple[int, int]:
    time.sleep(0.01)  # so that there is work left when its zygote is killed
    return item, os.getppid()


def test_a_lost_zygote_is_one_death_and_other_zygotes_workers_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pline = mp.PipeLine([mp.Source(range(300), "numbers")])
    pline.add(mp.Transform(whose, "work", max_restarts=1), n_processes=3)
    zygotes: list[int] = []
    items = []
    pline.run()
    wait_until(lambda: pline.stats()["numbers"].pid, "the source")
    source = pline.stats()["numbers"].pid
    for item, zygote in pline:
        items.append(item)
        if zygote not in zygotes:
            zygotes.append(zygote)
        if len(zygotes) == 1 and len(items) == 10:
            os.kill(zygote, signal.SIGKILL)
    assert sorted(items) == list(range(300))
    assert len(zygotes) == 2
    assert pline.stats()["numbers"].pid == source
    lost = [r.getMessage() for r in caplog.records if "was lost together with" in r.getMessage()]
    assert len(lost) == 3


def test_a_lost_zygote_of_workers_with_state_ends_the_run_by_a_stop() -> None:
    pline = mp.PipeLine([mp.Source(range(10**9), "numbers")])
    pline.add(mp.Sink(Collect(), "keep", env={"OTHER": "1"}))
    pline.run()
    wait_until(lambda: pline.stats()["keep"].items_in, "items")
    source = pline.stats()["numbers"]
    with open(f"/proc/{source.pid}/stat") as stat:
        zygote = int(stat.read().rpartition(")")[2].split()[1])
    os.kill(zygote, signal.SIGKILL)
    with pytest.raises(mp.WorkerDiedError, match=r"'numbers'.*was lost together with"):
        pline.close(60)
    assert "keep" in pline.results


def customized(place: Path, code: str) -> dict[str, str]:
    """The environment of an interpreter that runs this first of all."""
    (place / "sitecustomize.py").write_text(textwrap.dedent(code))
    return {"PYTHONPATH": os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")])}


def test_a_fork_that_is_refused_is_told_with_its_reason_and_others_save(tmp_path: Path) -> None:
    env = customized(
        tmp_path,
        """
        import errno, os
        fork, count = os.fork, 0
        def refuses():
            global count
            count += 1
            if count > 1:
                raise OSError(errno.EAGAIN, "refused")
            return fork()
        os.fork = refuses
        """,
    )

    def dies(item: int) -> int:
        if item == 100:
            os._exit(1)
        return item

    pline = mp.PipeLine([mp.Source(range(10**6)), mp.Transform(dies, "dies", env=env)])
    pline.add(mp.Sink(Collect(), "keep")).run()
    said = r"worker 'dies' could not be started: .* \(EAGAIN\); there is too little memory"
    with pytest.raises(mp.StartError, match=said):
        pline.close(60)
    kept = pline.results["keep"]
    assert kept == list(range(len(kept)))


def test_a_worker_that_dies_before_it_is_connected_is_told_as_that(tmp_path: Path) -> None:
    env = customized(tmp_path, "import os; os.register_at_fork(after_in_child=lambda: os._exit(3))")
    pline = mp.PipeLine([mp.Source(range(9)), mp.Sink(Collect(), "keep", env=env)])
    said = "died while starting, before it reached its functor: it ended with exit code 3"
    with pytest.raises(mp.WorkerDiedError, match=said) as caught:
        pline.run().close(60)
    assert "os._exit in its functor" not in str(caught.value)


def test_a_zygote_that_begins_when_its_run_is_over_says_nothing() -> None:
    """The supervisor was killed, and another zygote has removed the directory."""
    ours, theirs = socket.socketpair()
    main = "from minipipe.worker.zygote import main"
    code = f"{main}; main({theirs.fileno()}, '/nowhere', {theirs.fileno()}, '/nowhere/plan', 1, 2)"
    with ours, theirs:
        ended = subprocess.run(
            [sys.executable, "-c", code],
            pass_fds=[theirs.fileno()],
            capture_output=True,
            check=False,
            timeout=DEADLOCK_S,
        )
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, b"", b"")
