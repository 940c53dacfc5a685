"""What was missed of one that lives is an error, if no death explains it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from minipipe.protocol.delivery.membership import Membership, Peer
from minipipe.shm import SlotBarredError, SlotLeftBehindError, is_open_to_others, lives
from minipipe.stream.absent import PATIENCE_S, Absences
from tests.conftest import wait_until

REGION, EPOCH, PRODUCER = 2, 3, 7


def missing(pid: int) -> tuple[Membership, Absences]:
    membership = Membership(1, epochs={REGION: EPOCH})
    membership.join(Peer(PRODUCER, 0, "there"))
    absences = Absences(membership)
    absences.missed(100.0, REGION, EPOCH, PRODUCER, pid)
    return membership, absences


def test_what_a_living_one_sent_cannot_stay_missing() -> None:
    _, absences = missing(os.getpid())
    absences.check(100.0 + PATIENCE_S - 1)
    with pytest.raises(SlotBarredError, match=f"process {os.getpid()}, which lives"):
        absences.check(100.0 + PATIENCE_S)


def test_nor_can_what_came_from_another_host_without_its_arrays() -> None:
    membership, absences = missing(0)
    absences.check(100.0 + PATIENCE_S - 1)
    with pytest.raises(SlotLeftBehindError, match=r"without an array .* the gateway of its host"):
        absences.check(100.0 + PATIENCE_S)
    membership, absences = missing(0)
    membership.fence(REGION, EPOCH + 1, [(99, 100)])
    absences.check(1e9)


def test_a_death_explains_what_is_missing() -> None:
    membership, absences = missing(os.getpid())
    membership.fence(REGION, EPOCH + 1, [(99, 100)])
    absences.check(1e9)
    membership, absences = missing(os.getpid())
    membership.mark_dead([(PRODUCER, PRODUCER + 1)])
    absences.check(1e9)
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    _, absences = missing(child.pid)  # its supervisor has not heard of it yet
    absences.check(1e9)


def test_a_process_lives_until_it_has_ended_not_until_it_is_collected() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert lives(child.pid) and lives(1)
    child.kill()
    wait_until(lambda: not lives(child.pid), "the end of a child that nobody has collected")
    child.communicate()
    assert not lives(child.pid)


CODE = """
import ctypes
from minipipe.shm import is_open_to_others
print(is_open_to_others())
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
print(is_open_to_others())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_DUMPABLE is Linux")
def test_a_process_knows_whether_others_may_look_into_it() -> None:
    assert is_open_to_others()
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["True", "False"], done.stderr
