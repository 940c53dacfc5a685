"""The user's code goes to machines that join, and those of other versions are turned away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minipipe.agent.welcoming import decide
from minipipe.process.versions import versions
from minipipe.protocol.hosts.joining import Refused, Welcome
from minipipe.protocol.hosts.offer import Offer, write_offer
from minipipe.supervisor.hosts.gateway_words import About
from tests.conftest import DEADLOCK_S, wait_until

ROOT = Path(__file__).parents[2]
_SCRIPT = """
import json, os, sys
import minipipe as mp
from mine import work

def own(item):
    return [item[0] + 1, *item[1:], os.getpid() != main]

main = os.getpid()
pline = mp.PipeLine([
    mp.Source(range(5)), mp.Transform(work.double, "double", on="b"), mp.Transform(own, on="b")
])
try:
    ships = len(sys.argv) < 3
    pline.run(bind="tcp://127.0.0.1:0", token_file=sys.argv[1], ship=ships)
    print(json.dumps(list(pline)))
except ModuleNotFoundError as error:
    print(json.dumps([str(error), *error.__notes__]))
"""
_WORK = """
import os
from . import constants

def double(item):
    import late
    return constants.TWO * item + late.ONE, __file__, os.getcwd()
"""


_CLASSES = """
import enum, json, os, sys
from dataclasses import dataclass, field, replace
from typing import NamedTuple
import numpy as np
import minipipe as mp

class Split(enum.Enum):
    TRAIN, TEST = "train", "test"

class Point(NamedTuple):
    x: int
    y: int

@dataclass(frozen=True)
class Sample:
    number: int
    image: np.ndarray
    split: Split
    at: Point

    def brighter(self):
        return replace(self, image=self.image + 1)

@dataclass
class Result:
    class Kind(enum.IntEnum):
        ODD = 1
        EVEN = 2

    kind: Kind
    samples: list[Sample] = field(default_factory=list)

@dataclass(frozen=True, slots=True)
class Pair:
    left: Result
    pid: int

class Holder:
    class Flag(enum.Flag):
        A = 1
        B = 2

def load():
    for number in range(4):
        split = Split.TEST if number == 3 else Split.TRAIN
        yield Sample(number, np.full(3, number), split, Point(number, -number))

def touch(item):  # without a name of the script's
    assert item.split.name in ("TRAIN", "TEST") and item.at.y == -item.number
    return item.brighter()

def judge(sample):
    kind = Result.Kind.ODD if sample.number % 2 else Result.Kind.EVEN
    return Pair(Result(kind, [sample]), os.getpid()), Holder.Flag.A | Holder.Flag.B

def local(sample):
    @dataclass
    class Mine:
        number: int
    return Mine(sample.number)

if __name__ == "__main__":
    steps = [mp.Source(load), mp.Transform(touch, on="b"), mp.Transform(judge, on="b")]
    if len(sys.argv) > 2:
        steps[-1] = mp.Transform(local, on="b")
    pline = mp.PipeLine(steps)
    found = []
    try:
        pline.run(bind="tcp://127.0.0.1:0", token_file=sys.argv[1], ship=["mine"])
        for pair, flag in pline:
            assert type(pair) is Pair and type(pair.left) is Result and pair.pid != os.getpid()
            (sample,) = pair.left.samples
            assert type(sample) is Sample and flag is Holder.Flag.A | Holder.Flag.B
            found.append([sample.number, sample.image.tolist(), sample.split is Split.TRAIN])
            found[-1].append(pair.left.kind is Result.Kind.EVEN)
    except mp.ItemTypeError as error:
        found.append(str(error))
    print(json.dumps(found))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / "mine").mkdir(parents=True)
    (tmp_path / "away").mkdir()
    texts = {"mine/__init__": "", "mine/work": _WORK, "mine/constants": "TWO = 2"}
    for name, text in {**texts, "train": _SCRIPT, "late": "ONE = 1"}.items():
        (home / f"{name}.py").write_text(text)
    return home


def run_on_two(home: Path, *arguments: str) -> list[object]:
    """What the script prints, with a machine that joins its run."""
    token = home.parent / "token"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    script = subprocess.Popen(
        [sys.executable, "train.py", str(token), *arguments],
        cwd=home,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    agent = None
    try:
        wait_until(lambda: token.exists() and token.read_text(), "a token")
        agent = subprocess.Popen(
            [sys.executable, "-m", "minipipe", "agent", "--join", f"@{token}", "--tags", "b"],
            cwd=home.parent / "away",
            env=environment,
            stderr=subprocess.PIPE,
        )
        out, err = script.communicate(timeout=DEADLOCK_S)
        assert script.returncode == 0, err.decode()
        agent.communicate(timeout=DEADLOCK_S)
    finally:
        for process in (script, agent):
            if process is not None and process.poll() is None:
                process.kill()
                process.communicate()
    printed: list[object] = json.loads(out)
    return printed


def test_functors_find_their_modules_on_a_machine_that_has_none_of_them(home: Path) -> None:
    items: Any = run_on_two(home)
    assert [item[0] for item in items] == [2, 4, 6, 8, 10]
    for _, file, cwd, is_elsewhere in items:
        assert file.endswith("/0/mine/work.py") and "/code/" in file
        assert not os.path.exists(file)  # it has gone with the agent
        assert cwd == str(home.parent / "away") and is_elsewhere


def test_items_may_be_of_the_dataclasses_namedtuples_and_enums_of_the_script(home: Path) -> None:
    (home / "train.py").write_text(_CLASSES)
    found: Any = run_on_two(home)
    assert sorted(found) == [[n, [n + 1] * 3, n < 3, n % 2 == 0] for n in range(4)]


def test_one_of_a_function_is_refused_with_what_to_do(home: Path) -> None:
    (home / "train.py").write_text(_CLASSES)
    (said,) = run_on_two(home, "local")
    assert "Mine" in str(said) and "define it at the top of the script" in str(said)


def test_a_module_that_is_missing_there_is_named_with_the_machine(home: Path) -> None:
    error, note = run_on_two(home, "ship nothing")
    assert error == "No module named 'mine'"
    assert "in loading its functor of segment 'double'" in str(note)
    assert "has no module 'mine', and it was not shipped there (ship=False)" in str(note)


def test_a_machine_of_another_version_is_refused_and_both_hear_why() -> None:
    ours = versions()
    about = About("training", 15.0, versions=ours, needed=(), manifest=b"", shipped=b"")
    offer = Offer("b", 1, facts=ours.to_facts())
    decision = decide(write_offer(offer), about, ())
    assert isinstance(decision.answer, Welcome) and decision.note == ""
    numpy = replace(ours, packages={**ours.packages, "numpy": "0.1", "msgpack": "0.1"})
    decision = decide(write_offer(replace(offer, facts=numpy.to_facts())), about, ())
    assert isinstance(decision.answer, Refused) and decision.offer is None
    said = decision.answer.why
    assert said.startswith("NumPy and msgpack cannot differ between hosts:\n") and "0.1" in said
    assert decision.note == f"host 'b' may not join: {said}"
    decision = decide(write_offer(replace(offer, facts={})), about, ())
    assert isinstance(decision.answer, Refused) and decision.offer is None
