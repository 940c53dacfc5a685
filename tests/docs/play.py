"""Runs the code of one page, block by block, in one process: python -m tests.docs.play FILE.

FILE has the blocks, as JSON.  A line with MARK before what each of them prints.
"""

from __future__ import annotations

import json
import linecache
import subprocess
import sys
import time
import traceback
import types
from pathlib import Path
from typing import Any

MARK = "\x1e block "


def play(blocks: list[dict[str, Any]], page: str) -> None:
    """Runs all of them, as one script that is called like the page."""
    main = types.ModuleType("__main__")
    main.__file__ = str(Path.cwd() / f"{page}.py")
    sys.modules["__main__"] = main
    began = time.monotonic()
    for block in blocks:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        print(f"{MARK}{block['line']} after {time.monotonic() - began:.1f} s", flush=True)
        code = block["code"]
        if block["kept_as"]:
            Path(block["kept_as"]).write_text(code)
        elif block["language"] == "bash":
            subprocess.run(["bash", "-euc", code], check=True)
        else:
            _run(code, block["file"] or f"{page}-{block['line']}.py", block["raises"], main)


def _run(code: str, file: str, wanted: str | None, main: types.ModuleType) -> None:
    Path(file).write_text(code + "\n")
    linecache.checkcache(file)
    try:
        exec(compile(code, file, "exec"), main.__dict__)
    except Exception as error:
        if wanted != type(error).__name__:
            raise
        traceback.print_exc()
    else:
        if wanted is not None:
            raise AssertionError(f"{file} raised no {wanted}")


if __name__ == "__main__":
    path = Path(sys.argv[1])
    play(json.loads(path.read_text()), path.stem)
