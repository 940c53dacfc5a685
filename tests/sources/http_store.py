"""A store of files that is far away: a web server, which may refuse, or break off."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Handler(SimpleHTTPRequestHandler):
    """Serves a directory; the first try of each file fails in the way that its number says."""

    def __init__(self, *args: Any, tries: Counter[str], **about: Any) -> None:
        self.tries = tries  # of each file, to be read
        super().__init__(*args, **about)

    def do_GET(self) -> None:
        name = os.path.basename(self.path)
        self.tries[name] += 1
        if not name or self.tries[name] > 1:
            super().do_GET()
        elif name.startswith("000"):
            self.send_error(503)
        elif name.startswith("001"):
            content = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        else:
            super().do_GET()

    def log_message(self, *args: Any) -> None:
        """It says nothing."""


@contextmanager
def serving(directory: Path) -> Iterator[tuple[str, Counter[str]]]:
    """Yields the URL of a directory, and how often each file was asked for."""
    tries: Counter[str] = Counter()
    handler: Any = partial(Handler, directory=str(directory), tries=tries)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", tries
        server.shutdown()
        thread.join()
