"""What may be written behind `minipipe agent`."""

from __future__ import annotations

import argparse
import re

from minipipe.protocol.hosts.names import ANY, LOCAL, is_name
from minipipe.protocol.hosts.offer import MAX_SLOTS

MAX_PORT = 65_535
TEXT = "run workers of a run that is on another machine"
EXAMPLES = """\
examples:
  minipipe agent --join TOKEN                       (the line that run(bind=...) has printed)
  minipipe agent --join @token                      (from a file: run(bind=..., token_file="token"))
  MINIPIPE_TOKEN=$(cat token) minipipe agent --slots 8 --tags cpu,big
  minipipe agent --join @token --wait 600           (started together with the run, or before)
  minipipe agent --join @token --port 7712          (behind a firewall: where other agents may come)
  minipipe agent --join @token --gpus 2 --tags gpu  (its first two GPUs; --gpus 0,3: these two)

It takes part in one run, until that is over. SIGTERM or Ctrl-C: it leaves when its workers go on
elsewhere, or have ended, if they keep state; once more: at once, and what they had is done again by
others. Needed here: the same MiniPipe, and the packages that functors import; modules of the run's
own are sent along.

exit status:
  0    the run is over, or it was told to leave
  1    the run could not be reached, has refused it, or is lost
  2    something is written wrongly here
"""


def add_to(command: argparse.ArgumentParser) -> None:
    """Adds them to the parser of the command."""
    command.add_argument(
        "--join",
        metavar="TOKEN",
        help="the token of the run, or @FILE; without it, that in MINIPIPE_TOKEN",
    )
    command.add_argument("token", nargs="?", metavar="TOKEN", help="the same, without --join")
    command.add_argument(
        "--slots",
        type=_slots,
        metavar="N",
        help="how many workers it takes at once (default: as many as there are cores for it)",
    )
    command.add_argument(
        "--gpus",
        type=_gpus,
        metavar="N|LIST",
        help="how many GPUs workers may have, or which: 0,3 (3, for one alone), or ids of "
        "nvidia-smi -L (default: all that CUDA_VISIBLE_DEVICES shows)",
    )
    command.add_argument(
        "--tags",
        type=_tags,
        default=[],
        metavar="A,B",
        help="what on= of segments may ask for (its name counts, too)",
    )
    command.add_argument(
        "--name",
        type=_name,
        metavar="NAME",
        help="what it is called in the run (default: as the machine; the second gets a number)",
    )
    command.add_argument(
        "--wait",
        type=_seconds,
        metavar="SECONDS",
        help="it may begin before the run: so long it waits for the file of the token, and for the "
        "run (default: 10 s, for the run)",
    )
    command.add_argument(
        "--interface",
        metavar="ADDR",
        help="the IP address of this machine that it goes out by, and that other agents come to",
    )
    command.add_argument(
        "--port",
        type=_port,
        default=0,
        metavar="PORT|none",
        help="that other agents come to, for what their workers and those here have for each other "
        "(default: any that is free; none, or one that they cannot reach: all of it goes by the "
        "machine of the program)",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise argparse.ArgumentTypeError(f"a number of seconds, got {text!r}")
    return seconds


def _port(text: str) -> int | None:
    if text == "none":
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"a number from 0 to {MAX_PORT}, or none, got {text!r}")
    return int(text)


def _slots(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= MAX_SLOTS:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to {MAX_SLOTS}, got {text!r}")
    return int(text)


def _gpus(text: str) -> int | tuple[str, ...]:
    if "," not in text and text.isdecimal():
        return int(text)
    listed = tuple(part for part in map(str.strip, text.split(",")) if part)
    if not all(re.fullmatch(r"[0-9]+|(GPU|MIG)-[\w/.:-]+", part) for part in listed):
        raise argparse.ArgumentTypeError(f"a number of GPUs, or a list of them, got {text!r}")
    return listed


def _name(text: str) -> str:
    if not is_name(text) or text in (LOCAL, ANY):
        raise argparse.ArgumentTypeError(
            f"letters, digits, '.', '-' and '_', and not 'local' or 'any', got {text!r}"
        )
    return text


def _tags(text: str) -> list[str]:
    return [_name(part.strip()) for part in text.split(",") if part.strip()]
