"""Two machines on this one: network namespaces, joined by a cable that can be pulled."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess

import pytest

PREFIX = "10.77.7"
_numbers = itertools.count()


def why_not() -> str:
    """Why there can be no network namespaces here; "" if there can."""
    if os.name != "posix" or shutil.which("ip") is None:
        return "there is no `ip` here to make network namespaces with"
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    return ""


def _delete_leftovers() -> None:
    """Those of tests that were killed."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, check=False, text=True)
    for name, pid in re.findall(r"^(mp(\d+)-\d+[ab])\b", listed.stdout, re.MULTILINE):
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        except OSError:
            pass  # another user's: it lives


class Machines:
    """Both of them: `10.77.7.1` and `fd77::1`, `10.77.7.2` and `fd77::2`."""

    def __init__(self) -> None:
        if why := why_not():
            pytest.skip(why)
        _delete_leftovers()
        name = f"mp{os.getpid()}-{next(_numbers)}"
        self.names = (f"{name}a", f"{name}b")

    def __enter__(self) -> Machines:
        try:
            self._make()
        except BaseException as error:
            self.__exit__()
            if isinstance(error, subprocess.CalledProcessError):
                what = " ".join(error.cmd)
                pytest.skip(f"no two machines can be made here: {what}: {error.stderr.strip()}")
            raise
        return self

    def _make(self) -> None:
        one, other = self.names
        for name in self.names:
            self._ip("netns", "add", name)
            self._ip("netns", "exec", name, "true")
        self._ip("-n", one, "link", "add", "veth0", "type", "veth", "peer", "veth0", "netns", other)
        for number, name in enumerate(self.names, 1):
            self._ip("-n", name, "addr", "add", f"{PREFIX}.{number}/24", "dev", "veth0")
            self._ip("-n", name, "link", "set", "lo", "up")
            self._ip("-n", name, "link", "set", "veth0", "up")
            self._ip("-n", name, "addr", "add", f"fd77::{number}/64", "dev", "veth0", "nodad")

    def __exit__(self, *_: object) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def on(self, number: int) -> list[str]:
        """What stands before a command that runs on this machine."""
        return ["ip", "netns", "exec", self.names[number]]

    def pull(self) -> None:
        """Pulls the cable: nobody is told, what is sent goes nowhere."""
        self._ip("-n", self.names[1], "link", "set", "veth0", "down")

    def plug(self) -> None:
        self._ip("-n", self.names[1], "link", "set", "veth0", "up")

    @staticmethod
    def _ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], capture_output=True, check=True, text=True)
