"""What a worker of a notebook sends of what it displays; here without a notebook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

from minipipe.supervisor.displays import checked, show

pytest.importorskip("IPython")

PROGRAM = """
import sys
{before}
from minipipe.worker import displays

class Channel:
    def send(self, kind, fields):
        assert kind == "display"
        print(fields["json"])
        return True

displays.MAX_BYTES = 1000
displays.forward_displays(Channel())
assert {before!r} or "IPython" not in sys.modules
from IPython.display import HTML, clear_output, display

class Both:
    def _repr_html_(self): return "<i>both</i>"
    def __repr__(self): return "both"

display(Both(), 7)
handle = display(HTML("<b>first</b>"), display_id=True)
handle.update(HTML("<b>second</b>"))
display({{"image/png": b"\\x89PNG", "text/plain": "a picture"}}, raw=True, metadata={{"a": 1}})
display(HTML("x" * 2000))
clear_output(wait=True)
if {before!r}:
    assert other.display is display
"""


# Of a module that was imported before the worker was forked, and has the function by name.
OTHER = "import types; from IPython.display import display; sys.modules['other'] = other = "
OTHER += "types.ModuleType('other'); other.display = display"


@pytest.mark.parametrize("before", ["", OTHER])
def test_display_sends_the_forms_that_objects_have(before: str) -> None:
    code = textwrap.dedent(PROGRAM).format(before=before)
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert ran.returncode == 0, ran.stderr
    said = [checked({"json": line}) for line in ran.stdout.splitlines()]
    both, seven, first, second, picture, large, clear = said
    assert both["data"] == {"text/html": "<i>both</i>", "text/plain": "both"}
    assert seven["data"] == {"text/plain": "7"}
    assert (first["update"], second["update"]) == (False, True)
    assert first["transient"] == second["transient"] and first["transient"]["display_id"]
    assert second["data"]["text/html"] == "<b>second</b>"
    assert picture["data"] == {"image/png": "iVBORw==", "text/plain": "a picture"}
    assert picture["metadata"] == {"a": 1}
    assert list(large["data"]) == ["text/plain"] and "not shown" in large["data"]["text/plain"]
    assert clear == {"clear": True}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"json": "7"},
        {"json": "no json"},
        {"json": "{}"},
        {"json": json.dumps({"data": [], "metadata": {}, "transient": {}, "update": False})},
    ],
)
def test_what_is_nothing_to_display_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        checked(fields)


def test_without_a_shell_nothing_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    show({"data": {"text/plain": "7"}, "metadata": {}, "transient": {}, "update": False})
    assert capfd.readouterr() == ("", "")
