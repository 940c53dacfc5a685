"""A cluster of Ray with two nodes on this machine; without Ray, tests that need it are skipped."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.programs.conftest import free_port

ROOT = Path(__file__).parents[2]
START_S = 120.0  # generous: reached, it means a deadlock
_NODE = ("--num-cpus=3", "--num-gpus=1", "--disable-usage-stats", "--block")
_OPTIONS = {
    "PYTHONPATH": str(ROOT),
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "PYTHONWARNINGS": "default",
}


class Cluster:
    """Its nodes, and programs that use it."""

    def __init__(self, stack: ExitStack, folder: str) -> None:
        self._stack = stack
        self.environ = {**os.environ, **_OPTIONS}
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        head = ("--head", f"--port={port}", "--node-ip-address=127.0.0.1", f"--temp-dir={folder}")
        self._node(*head, "--include-dashboard=false")
        self._until_nodes(1)
        self._node(f"--address={self.address}", "--node-ip-address=127.0.0.1")
        self._until_nodes(2)

    def _node(self, *arguments: str) -> None:
        command = [str(Path(sys.executable).parent / "ray"), "start", *arguments, *_NODE]
        node = subprocess.Popen(command, env=self.environ, stdout=subprocess.DEVNULL)
        self._stack.callback(_end, node)

    def _until_nodes(self, count: int) -> None:
        """Waits until it has so many."""
        said = ""

        def are_there() -> bool:
            nonlocal said
            done = self.run("print(sum(node['Alive'] for node in ray.nodes()))", check=False)
            said = done.stdout + done.stderr
            return done.stdout.split()[-1:] == [str(count)]

        try:
            wait_until(are_there, f"{count} nodes of Ray", START_S)
        except AssertionError as error:
            raise AssertionError(said) from error

    def run(self, program: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a program that is connected to it."""
        begin = f"import ray\nray.init({self.address!r}, log_to_driver=False)\n"
        done = subprocess.run(
            [sys.executable, "-c", begin + program],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=START_S,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def groups(self) -> list[str]:
        """The placement groups that it has."""
        program = (
            "import json\nfrom ray.util.placement_group import placement_group_table\n"
            "states = [one['state'] for one in placement_group_table().values()]\n"
            "print(json.dumps([one for one in states if one != 'REMOVED']))"
        )
        found: list[str] = json.loads(self.run(program).stdout.splitlines()[-1])
        return found


def _end(node: subprocess.Popen[bytes]) -> None:
    node.terminate()
    try:
        node.wait(30)
    except subprocess.TimeoutExpired:
        node.kill()
        node.wait()


def agents() -> set[int]:
    """The processes of agents that Ray has here, for these tests, whosever children they are."""
    found, ours = set(), f"TMPDIR={os.environ['TMPDIR']}\0".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            is_one = b"minipipe.ray.process" in (entry / "cmdline").read_bytes()
            if is_one and ours in (entry / "environ").read_bytes() + b"\0":
                found.add(int(entry.name))
        except OSError:
            continue  # of somebody else, or gone
    return found


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed (make test-ray)")
    with ExitStack() as stack:
        # (Its sockets have no room for the long name of a folder of pytest's.)
        folder = tmp_path_factory.getbasetemp().parents[2] / "r"
        yield Cluster(stack, str(folder))
