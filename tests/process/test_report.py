"""`pline.report()` of real runs, in a real browser where there is one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import minipipe as mp
from minipipe.errors import LifecycleError, MissingExtraError, OptionError
from minipipe.observe.picture import picture_of
from minipipe.observe.timeline import Timeline, Track
from minipipe.pipeline.report import check_can_be_written

TIMEOUT_S = 60
try:  # matplotlib keeps the files of its fonts open, from its first picture on
    WARM = Timeline(0, 1, ("a",), (Track(1, "a", "a", 0, 0, None, "gone", ()),))
    picture_of([("a", WARM)], "png")
except MissingExtraError:
    pass
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def slow(x: int) -> int:
    time.sleep(0.005)
    return x


def keep(x: int) -> None:
    time.sleep(0.001)


def finished(**options: object) -> mp.PipeLine:
    pline = mp.PipeLine([mp.Source(range(20), "load")])
    pline.add(mp.Transform(slow, "work <i>"), n_processes=2)
    pline.add(mp.Sink(keep, "keep"))
    pline.build(log_lvl="ERROR").run(**options)  # type: ignore[arg-type]
    pline.close(TIMEOUT_S)
    return pline


def test_a_report_is_one_page_with_all_workers(tmp_path: Path) -> None:
    file = finished(trace=True).report(tmp_path / "report.html")
    assert file == tmp_path / "report.html"
    text = file.read_text()
    for worker in ("load", "work &lt;i&gt;/0", "work &lt;i&gt;/1", "keep"):
        assert f'<th scope="row">{worker}</th>' in text
    data = json.loads(re.findall(r'<script id="data"[^>]*>(.*?)</script>', text)[0])
    assert [track["end"] for track in data["tracks"]] == ["gone"] * 4
    assert len(data["items"]) == 20


def test_without_a_trace_it_says_how_to_get_a_timeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pline = finished()
    assert "pline.run(trace=True)" in pline.report("report.html").read_text()
    with pytest.raises(LifecycleError, match="nobody has asked for"):
        pline.report("timeline.png")
    assert not (tmp_path / "timeline.png").exists()


def test_in_the_middle_of_a_run_it_shows_how_far_that_is(tmp_path: Path) -> None:
    pline = mp.PipeLine([mp.Source(range(10**6), "load"), mp.Transform(slow, "work")])
    text = ""
    for i, _ in enumerate(pline.build(log_lvl="ERROR").run(trace=True)):
        if i == 20:
            text = pline.report(tmp_path / "report.html").read_text()
            break
    pline.close(TIMEOUT_S)
    assert '"end":"running"' in text
    assert '"item 3 of load"' in text
    assert "the run was stopped after" in pline.report(tmp_path / "report.html").read_text()


def fails(x: int) -> int:
    if x == 3:
        raise ValueError("three")
    return x


@pytest.mark.parametrize("inline", [False, True])
def test_it_says_how_the_run_has_ended(tmp_path: Path, inline: bool) -> None:
    for function, said in [(slow, "the run took"), (fails, "the run failed after")]:
        pline = mp.PipeLine([mp.Source(range(5), "load"), mp.Transform(function, "work")])
        pline.build(inline=inline, log_lvl="ERROR").run()
        with suppress(ValueError):
            list(pline)
        with suppress(ValueError):
            pline.close(TIMEOUT_S)
        assert said in pline.report(tmp_path / "report.html").read_text()


def test_inline_has_a_report_too(tmp_path: Path) -> None:
    pline = mp.PipeLine([mp.Source(range(20), "load"), mp.Sink(slow, "work")])
    pline.build(inline=True, log_lvl="ERROR").run(trace=True).close()
    assert '"item 3 of load"' in pline.report(tmp_path / "report.html").read_text()


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_picture_of_the_timeline(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    file = finished(trace=True).report(tmp_path / f"timeline.{suffix}")
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert file.read_bytes().startswith(begins[suffix])


def test_timelines_of_several_runs_are_drawn_on_one_scale(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    serial = mp.PipeLine([mp.Source(range(20), "load"), mp.Sink(slow, "work")])
    serial.build(inline=True, log_lvl="ERROR").run(trace=True).close()
    both = {"in $one process": serial, "MiniPipe": finished(trace=True)}
    file = mp.compare_timelines(tmp_path / "both.svg", both)
    assert file.read_bytes().startswith(b"<?xml")
    with pytest.raises(OptionError, match="compared in a picture"):
        mp.compare_timelines(tmp_path / "both.html", both)
    with pytest.raises(LifecycleError, match="'untraced' has no timeline"):
        mp.compare_timelines(tmp_path / "both.png", {"untraced": finished()})


def test_without_matplotlib_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pline = finished(trace=True)
    for name in ("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"needs the package matplotlib: .*viz"):
        pline.report(tmp_path / "timeline.png")


def test_so_it_is_before_a_run_that_may_take_hours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    check_can_be_written(tmp_path / "report.html")
    with pytest.raises(MissingExtraError, match="viz"):
        check_can_be_written(tmp_path / "timeline.png")
    assert not list(tmp_path.iterdir())


def test_a_report_that_cannot_be_is_a_clear_error(tmp_path: Path) -> None:
    pline = mp.PipeLine([mp.Source(range(3), "load"), mp.Transform(slow, "work")])
    with pytest.raises(LifecycleError, match=r"report\(\) of a pipeline that is not built"):
        pline.report("report.html")
    with pytest.raises(OptionError, match="takes the path of a file, got 5"):
        pline.report(5)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"ends in \.html .* or in \.png, \.svg, \.pdf"):
        pline.report("report.txt")
    done = finished()
    with pytest.raises(OptionError, match="cannot be written: No such file or directory"):
        done.report(tmp_path / "no" / "report.html")


# Without a window nobody asks for frames.
_FRAMES = "<head><script>window.requestAnimationFrame = (draw) => setTimeout(draw, 10);</script>"

# What a user does with the timeline; the page then says in its title what came of it.
_SCRIPT = """
<script>
const box = document.getElementById("timeline"), canvas = box.querySelector("canvas");
const lasts = () => Number(box.dataset.last) - Number(box.dataset.first);
const frame = () => new Promise((done) => requestAnimationFrame(done));
const place = canvas.getBoundingClientRect();
const at = (share) => ({ clientX: place.left + share * place.width, clientY: place.top + 42 });
(async () => {
  const out = { all: lasts(), wide: document.documentElement.scrollWidth <= window.innerWidth };
  document.getElementById("in").click(); await frame(); out.button = lasts();
  canvas.dispatchEvent(new WheelEvent("wheel", { ...at(0.7), deltaY: -60, cancelable: true }));
  await frame(); out.wheel = lasts(); out.first = Number(box.dataset.first);
  canvas.setPointerCapture = () => {};  // of a pointer that is none
  canvas.dispatchEvent(new PointerEvent("pointerdown", { ...at(0.7), pointerId: 7 }));
  canvas.dispatchEvent(new PointerEvent("pointermove", { ...at(0.6), pointerId: 7 }));
  canvas.dispatchEvent(new PointerEvent("pointerup", { ...at(0.6), pointerId: 7 }));
  await frame(); out.dragged = Number(box.dataset.first) - out.first;
  canvas.dispatchEvent(new MouseEvent("dblclick", at(0.5))); await frame(); out.again = lasts();
  canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "+", bubbles: true })); await frame();
  out.key = lasts();
  canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "0", bubbles: true })); await frame();
  canvas.dispatchEvent(new PointerEvent("pointermove", at(0.9))); await frame();
  out.tip = document.getElementById("tip").textContent;
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  out.colors = new Set(new Uint32Array(pixels.buffer)).size;
  out.page = getComputedStyle(document.body).backgroundColor;
  document.title = JSON.stringify(out);
})();
</script>
</body>"""


def browsed(file: Path, *options: str) -> dict[str, object]:
    """What comes of the page in a browser."""
    assert CHROMIUM is not None
    trial = file.with_name("trial.html")
    text = file.read_text().replace("<head>", _FRAMES)
    trial.write_text(text.replace("</body>", _SCRIPT))
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *(f"--user-data-dir={file.parent / 'profile'}", "--virtual-time-budget=20000"),
        *(*options, "--dump-dom", trial.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    title = re.findall(r"<title>(\{.*?\})</title>", done.stdout)
    assert title, done.stdout[-2000:] + done.stderr[-2000:]
    found: dict[str, object] = json.loads(title[0].replace("&amp;", "&").replace("&lt;", "<"))
    return found


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to show the page")
def test_a_browser_draws_the_timeline_and_zooms_it(tmp_path: Path) -> None:
    file = finished(trace=True).report(tmp_path / "report.html")
    for size, dark in (("1280,900", False), ("500,900", True)):
        options = ["--blink-settings=preferredColorScheme=0"] if dark else []
        seen = browsed(file, f"--window-size={size}", *options)
        whole = float(str(seen["all"]))
        assert seen["button"] == pytest.approx(whole / 2)
        assert float(str(seen["wheel"])) < whole / 2
        assert float(str(seen["dragged"])) > 0
        assert seen["again"] == whole
        assert seen["key"] == pytest.approx(whole / 2)
        assert str(seen["tip"]).startswith("load")
        assert int(str(seen["colors"])) > 10
        assert seen["wide"]  # nothing is wider than the window, but for what can be scrolled
        assert seen["page"] == ("rgb(21, 24, 28)" if dark else "rgb(251, 251, 250)")
