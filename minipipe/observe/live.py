"""The live view of a run, drawn by rich: a table below what is printed meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from minipipe.observe.plain import on
from minipipe.observe.progress import Sight, duration, number

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

BAR_CELLS = 10
NARROW = 60  # columns; in a narrower terminal the bar and the counts give way


class LiveView:
    """A table on the terminal, which is gone when the run is over.

    What is printed meanwhile stands above it.  Only while this is so are `sys.stdout` and
    `sys.stderr` others; whoever replaces them in between keeps what they have put there.

    Raises:
        ImportError: rich is not installed.
    """

    def __init__(self, file: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console: Console = Console(file=file)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._proxies: dict[str, tuple[Any, TextIO]] = {}

    def show(self, sight: Sight, verdict: str) -> None:
        """Draws it anew."""
        self._draw(_table(sight, verdict, self._console.width))

    def show_lines(self, lines: Sequence[str]) -> None:
        """Draws these instead."""
        from rich.text import Text

        self._draw(Text("\n".join(lines), no_wrap=True))

    def _draw(self, picture: RenderableType) -> None:
        if not self._live.is_started:
            self._live.start()
            self._redirect()
        self._live.update(picture, refresh=True)

    def end(self) -> None:
        """Takes it away."""
        for name, (proxy, stream) in self._proxies.items():
            if proxy.rich_proxied_file is stream and getattr(sys, name) is proxy:
                setattr(sys, name, stream)
                proxy.flush()
        self._proxies = {}
        if self._live.is_started:
            self._live.stop()

    def _redirect(self) -> None:
        from rich.file_proxy import FileProxy

        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None and stream.isatty():
                proxy = FileProxy(self._console, stream)
                setattr(sys, name, proxy)
                self._proxies[name] = (proxy, stream)


def _table(sight: Sight, verdict: str, width: int) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    wide = width >= NARROW
    table.add_column("segment", no_wrap=True)
    for column in ("items", "items/s", *(("queued", "workers") if wide else ())):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("busy", no_wrap=True)
    spread = wide and sight.is_spread
    if spread:
        table.add_column("on", no_wrap=True)
    if wide:
        table.add_column("", no_wrap=True)
    limits = sight.bottleneck
    for row in sight.rows:
        style = "bold" if row.name == limits and row.busy > 0 else ""
        cells = [Text(row.name), Text(f"{row.items:,}"), Text(number(row.rate))]
        if wide:
            cells += [Text(f"{row.queued:,}"), Text(str(row.workers))]
        cells.append(_bar(row.busy) if wide else Text(f"{row.busy:.0%}"))
        if spread:
            cells.append(Text(on(row)))
        if wide:
            cells.append(Text(_troubles(row.dropped, row.deaths), style="yellow"))
        table.add_row(*cells, style=style)
    head = [f"running for {duration(sight.elapsed_s)}"]
    if sight.total:
        head.append(f"{sight.done:,} of {sight.total:,} ({sight.done / sight.total:.0%})")
        if sight.left_s is not None:
            head.append(f"{duration(sight.left_s)} left")
    lines: list[RenderableType] = [table, Text(" · ".join(head), style="dim")]
    if verdict:
        lines.append(Text(verdict, style="dim"))
    return Group(*lines)


def _bar(share: float) -> Any:
    from rich.text import Text

    full = round(BAR_CELLS * min(1.0, share))
    color = "green" if share < 0.7 else "yellow" if share < 0.9 else "red"
    bar = Text("█" * full, style=color)
    bar.append("░" * (BAR_CELLS - full), style="dim")
    return bar.append(f" {share:4.0%}")


def _troubles(dropped: int, deaths: int) -> str:
    words = [f"{dropped:,} dropped"] if dropped else []
    words += [f"{deaths} died"] if deaths else []
    return ", ".join(words)
