"""What may be written behind `minipipe keys`."""

from __future__ import annotations

import argparse

from minipipe.protocol.hosts.endpoints import Endpoint, parse_endpoint

TEXT = "make the keys and the token of a run before it begins"
EXAMPLES = """\
examples:
  minipipe keys --address trainer.example.com:7711
  minipipe keys --address 10.0.0.7:7711 --address [fd00::7]:7711 -o imagenet.keys

Most runs need none: they make a token when they begin, and print it. This is for a token that has
to be there before the run, or is to stay the same for one run after the other: a Secret of
Kubernetes, say. It writes two files that only you can read, and no others in their place: keys for
run(bind=..., keys=FILE), and the token for `minipipe agent --join @FILE`. Both are secrets: who has
the keys is the run, who has the token can join it.

exit status:
  0    both are written
  1    they could not be
  2    something is written wrongly here
"""


def add_to(command: argparse.ArgumentParser) -> None:
    """Adds its arguments to the parser of the command."""
    command.add_argument(
        "--address",
        action="append",
        required=True,
        type=_endpoint,
        metavar="HOST:PORT",
        help="where other machines will reach the run, by a name or an IP address; may be given "
        "several times",
    )
    command.add_argument(
        "-o", "--output", metavar="FILE", default="run.keys", help="of the keys (run.keys)"
    )
    command.add_argument(
        "--token-file",
        metavar="FILE",
        help="of the token (as the other, with .token at its end in place of .keys)",
    )


def _endpoint(text: str) -> Endpoint:
    try:
        return parse_endpoint(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, got {text!r}") from None
