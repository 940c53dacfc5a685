"""A real notebook: its own functions, prints of workers in its cells, an interrupt, a rerun."""

from __future__ import annotations

import asyncio
import base64
import inspect
import re
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

SETUP = """
import time, threading
import minipipe as mp

class Scale:
    def __init__(self, by): self.by = by
    def __call__(self, x): return x * self.by

def say(x):
    print("worker says", x)
    return x
"""

LOOP = """
got = list(mp.PipeLine([mp.Source(range(3)), mp.Transform(Scale(2)), mp.Transform(say)]))
got
"""

FORKED = """
def started():
    yield from range(5)
generator = started()
next(generator)
lock = threading.Lock()
def locked(x):
    with lock:
        print("forked says", x)
        return -x
pline = mp.PipeLine([mp.Source(generator), mp.Transform(locked, n_processes=2)])
first, second = sorted(pline), sorted(pline)
(first, second)
"""

LONG = """
print("begun", flush=True)
sink = mp.Sink(lambda x: time.sleep(0.05))
endless = mp.PipeLine([mp.Source(iter(int, 1)), mp.Transform(say), sink])
endless.run()
while not endless.stats()["Sink"].items_in:
    time.sleep(0.01)
open({marker!r}, "w").close()
endless.close()
"""

FIGURES = """
import os
import matplotlib.pyplot as plt
from IPython.display import display, HTML

class Draws:
    def __init__(self, name): self.name = name
    def __call__(self, x): pass
    def local_term(self):
        import matplotlib.pyplot as plt
        from IPython.display import display, HTML
        plt.plot([1, 2, 3])
        plt.title(self.name)
        plt.show()
        display(HTML(f"<b>{self.name} {os.getpid()}</b>"))

kernel = os.getpid()
forked = Draws("forked")
forked.lock = threading.Lock()
for drawing in (Draws("zygote"), forked):
    pline = mp.PipeLine([mp.Source(range(3)), mp.Sink(drawing)])
    pline.run()
    pline.close()
kernel
"""

FAILS = """
def fails(x):
    return 1 / x  # here

list(mp.PipeLine([mp.Source([0]), mp.Transform(fails)]))
"""

AFTER = """
list(mp.PipeLine([mp.Source(range(3)), mp.Transform(say)]))
"""


def stream(cell, name: str) -> str:
    return "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == name)


def value(cell) -> str:
    return next(o.data["text/plain"] for o in cell.outputs if o.output_type == "execute_result")


@pytest.mark.notebook
@pytest.mark.filterwarnings("ignore")  # of jupyter's own libraries
def test_a_notebook_runs_is_interrupted_and_runs_again(tmp_path: Path) -> None:
    marker = tmp_path / "running"
    sources = [SETUP, LOOP, FORKED, LONG.format(marker=str(marker)), AFTER]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
    client = nbclient.NotebookClient(notebook, timeout=90, allow_errors=True)

    async def execute() -> None:
        running = asyncio.create_task(client.async_execute())
        while not marker.exists() and not running.done():
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)  # in the middle of close()
        asked = client.km.interrupt_kernel()
        if inspect.isawaitable(asked):
            await asked
        await running

    asyncio.run(execute())
    _, loop, forked, long, after = notebook.cells

    assert value(loop) == "[0, 2, 4]"
    assert stream(loop, "stdout").splitlines() == [f"worker says {x}" for x in (0, 2, 4)]
    assert value(forked) == "([-4, -3, -2, -1], [-4, -3, -2, -1])"
    assert stream(forked, "stdout").count("forked says") == 8
    (error,) = (o for o in long.outputs if o.output_type == "error")
    assert error.ename == "KeyboardInterrupt"
    assert len(error.traceback) == 1  # one line
    assert "interrupted after" in error.traceback[0]
    assert "worker says 0" in stream(long, "stdout")
    assert value(after) == "[0, 1, 2]"
    assert stream(after, "stdout").count("worker says") == 3


@pytest.mark.notebook
@pytest.mark.filterwarnings("ignore")  # of jupyter's own libraries
def test_what_workers_show_appears_in_the_cell_and_tracebacks_have_its_source() -> None:
    pytest.importorskip("matplotlib")
    sources = [SETUP, FIGURES, FAILS]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
    client = nbclient.NotebookClient(notebook, timeout=180, allow_errors=True)
    asyncio.run(client.async_execute())
    _, figures, fails = notebook.cells
    shown = [o.data for o in figures.outputs if o.output_type == "display_data"]
    pictures = [base64.b64decode(data["image/png"]) for data in shown if "image/png" in data]
    assert len(pictures) == 2
    assert all(picture.startswith(b"\x89PNG") and len(picture) > 5000 for picture in pictures)
    said = [re.fullmatch(r"<b>(\w+) (\d+)</b>", data.get("text/html", "")) for data in shown]
    names, pids = zip(*(match.groups() for match in said if match is not None), strict=True)
    assert names == ("zygote", "forked")
    assert value(figures) not in pids
    assert "Figure(" not in stream(figures, "stdout")
    assert "attempted to send message from fork" not in stream(figures, "stderr")
    (error,) = (o for o in fails.outputs if o.output_type == "error")
    assert error.ename == "ZeroDivisionError"
    assert sum("/minipipe/" in frame for frame in error.traceback) <= 1  # of those of ours the last
    remote = "\n".join(error.traceback).partition("in fails")[2]
    assert "return 1 / x  # here" in remote.splitlines()[1]
