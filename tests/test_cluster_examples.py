"""The files of examples/cluster: their commands run, beside others in the place of a cluster's."""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from minipipe.cli import main
from minipipe.protocol.hosts.names import as_name
from tests.programs.conftest import free_port

CLUSTER = Path(__file__).parent.parent / "examples" / "cluster"
LIMIT_S = 120  # generous: reached, it means a deadlock
SCRIPTS = ("slurm.sh", "ssh.sh")
TOKEN = re.compile(r"MINIPIPE1-\w{20}")

# What stands before the command is srun's own; it runs once for each task.
SRUN = """#!/bin/bash
for word in "$@"; do case $word in --ntasks=*) tasks=${word#*=};; esac; done
while [[ $1 == --* ]]; do shift; done
for ((task = 0; task < tasks; task++)); do "$@" --name "node-$task" --slots 2 & done
wait
"""
SSH = """#!/bin/bash
[[ $* == *MINIPIPE1-* ]] && exit 9
exec sh -c "$2 --name $1 --slots 2"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with train.py, and with commands in `bin`."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "home").mkdir()
    # With a segment on each machine that is to join: the run waits for all of them.
    program, end = (CLUSTER / "train.py").read_text(), "    ]\n)\n"
    assert end in program
    on = '*[mp.Transform(augment, f"{name}", on=name) for name in os.environ["HOSTS"].split()]'
    (tmp_path / "train.py").write_text(program.replace(end, f"        {on},\n{end}"))
    command(tmp_path / "bin/minipipe", f'#!/bin/sh\nexec {sys.executable} -m minipipe "$@"\n')
    command(tmp_path / "bin/python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    return tmp_path


def command(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def environ(folder: Path, **variables: str) -> dict[str, str]:
    path = f"{folder}/bin:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "HOME": f"{folder}/home", "CHUNKS": "8", **variables}


def run(folder: Path, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        ["bash", *arguments],
        cwd=folder,
        env=environ(folder, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stdout
    assert "trained on 2048 rows" in done.stdout
    assert not TOKEN.search(done.stdout), done.stdout
    return done.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_sound(name: str) -> None:
    assert (CLUSTER / name).stat().st_mode & stat.S_IXUSR
    subprocess.run(["bash", "-n", CLUSTER / name], check=True)
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", CLUSTER / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_job_of_slurm_runs_the_program_and_agents(folder: Path) -> None:
    command(folder / "bin/srun", SRUN)
    slurm = {"SLURM_JOB_ID": "77", "SLURM_JOB_NUM_NODES": "3", "SLURM_CPUS_PER_TASK": "2"}
    shown = run(folder, str(CLUSTER / "slurm.sh"), HOSTS="node-0 node-1", **slurm)
    for name in ("node-0", "node-1"):
        assert f"minipipe: host '{name}' has joined run 'train', with 2 slots" in shown
        assert f"minipipe: host '{name}' has left run 'train': that is over" in shown
    assert list((folder / "home").iterdir()) == []


def test_a_job_of_slurm_that_is_told_to_end_ends(folder: Path) -> None:
    command(folder / "bin/srun", SRUN)
    command(
        folder / "bin/python",
        "#!/bin/bash\ntrap 'exit 143' TERM\nkill -TERM $PPID\nsleep 60 & wait\n",
    )
    slurm = {"SLURM_JOB_ID": "77", "SLURM_JOB_NUM_NODES": "1", "SLURM_CPUS_PER_TASK": "2"}
    done = subprocess.run(
        ["bash", str(CLUSTER / "slurm.sh")],
        cwd=folder,
        env=environ(folder, **slurm),
        timeout=LIMIT_S,
        start_new_session=True,
    )
    assert done.returncode == 143


def test_agents_are_started_by_ssh(folder: Path) -> None:
    command(folder / "bin/ssh", SSH)
    (folder / "home/.venv/bin").mkdir(parents=True)
    shutil.copy(folder / "bin/minipipe", folder / "home/.venv/bin")
    bind = f"tcp://127.0.0.1:{free_port()}"
    variables = {"DIR": f"{folder}/home", "BIND": bind, "TMPDIR": f"{folder}/home"}
    variables["HOSTS"] = "alpha beta"
    shown = run(folder, str(CLUSTER / "ssh.sh"), "alpha", "beta", **variables)
    for name in ("alpha", "beta"):
        assert f"minipipe: host '{name}' has joined run 'train', with 2 slots" in shown
    assert [path.name for path in (folder / "home").iterdir()] == [".venv"]


# ------------------------------------------------------------------ Kubernetes


@pytest.fixture(scope="module")
def manifests() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    text = (CLUSTER / "kubernetes.yaml").read_text()
    return {one["kind"]: one for one in yaml.safe_load_all(text)}


def pod_of(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["spec"]["template"]
    return found


def mounts_of(pod: dict[str, Any]) -> dict[str, str]:
    """The secret that is found at each path."""
    secret_of = {one["name"]: one["secret"]["secretName"] for one in pod["spec"]["volumes"]}
    (container,) = pod["spec"]["containers"]
    return {one["mountPath"]: secret_of[one["name"]] for one in container["volumeMounts"]}


def test_the_service_is_that_of_the_program_and_of_no_agent(manifests: dict[str, Any]) -> None:
    service, program, agents = (manifests[kind] for kind in ("Service", "Job", "Deployment"))
    selected = service["spec"]["selector"].items()
    assert selected <= pod_of(program)["metadata"]["labels"].items()
    labels = pod_of(agents)["metadata"]["labels"]
    assert not selected <= labels.items()
    assert agents["spec"]["selector"]["matchLabels"] == labels
    (port,) = service["spec"]["ports"]
    (container,) = pod_of(program)["spec"]["containers"]
    bound = {one["name"]: one["value"] for one in container["env"]}["BIND"]
    assert bound.rpartition(":")[2] == str(port["targetPort"])
    text = (CLUSTER / "kubernetes.yaml").read_text()
    assert f"minipipe keys --address {service['metadata']['name']}:{port['port']} " in text


def test_agents_have_the_token_and_the_program_alone_the_keys(manifests: dict[str, Any]) -> None:
    assert mounts_of(pod_of(manifests["Job"])) == {"/keys": "train-keys"}
    assert mounts_of(pod_of(manifests["Deployment"])) == {"/token": "train-token"}
    text = (CLUSTER / "kubernetes.yaml").read_text()
    made = re.findall(r"create secret generic (\S+) --from-file=(\S+?)=(\S+)", text)
    assert made == [
        ("train-keys", "run.keys", "train.keys"),
        ("train-token", "token", "train.token"),
    ]


def test_the_commands_of_the_pods_run(manifests: dict[str, Any], folder: Path) -> None:
    """What `kubectl` would do: two pods, with secrets where they are mounted."""
    port = free_port()
    for place in ("keys", "token"):
        (folder / place).mkdir()
    files = ("-o", f"{folder}/keys/run.keys", "--token-file", f"{folder}/token/token")
    assert main(["keys", "--address", f"127.0.0.1:{port}", *files]) == 0

    def here(text: str) -> str:
        text = re.sub(r"(^|@)/(keys|token)/", rf"\1{folder}/\2/", text)
        return text.replace("tcp://0.0.0.0:7711", f"tcp://127.0.0.1:{port}")

    def start(kind: str) -> subprocess.Popen[str]:
        (container,) = pod_of(manifests[kind])["spec"]["containers"]
        given = {one["name"]: here(one["value"]) for one in container.get("env", ())}
        if "WORKERS" in given:
            given["WORKERS"] = "4"  # of this machine
            given["HOSTS"] = as_name(platform.node(), "host")
        return subprocess.Popen(
            [*map(here, container["command"])],
            cwd=folder,
            env=environ(folder, **given),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    with start("Deployment") as agent, start("Job") as program:
        shown = program.communicate(timeout=LIMIT_S)[0]
        said = agent.communicate(timeout=LIMIT_S)[0]
    assert (program.returncode, agent.returncode) == (0, 0), shown + said
    assert "trained on 2048 rows" in shown and "has joined run 'train'" in said
    assert not TOKEN.search(shown + said)


def test_the_manifests_are_valid() -> None:
    if (validate := shutil.which("kubernetes-validate")) is None:
        pytest.skip("kubernetes-validate is not installed (pip install kubernetes-validate)")
    arguments = [validate, "--strict", str(CLUSTER / "kubernetes.yaml")]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_the_image_is_made_of_is_there() -> None:
    lines = (CLUSTER / "Dockerfile").read_text().splitlines()
    copied = [
        line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line
    ]
    names = [name for line in copied for name in line if name != "."]
    assert "minipipe" in names
    for name in names:
        assert (CLUSTER.parents[1] / name).exists(), name
