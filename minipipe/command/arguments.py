"""What may be written behind `minipipe`, with its help."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from minipipe.command import agent_arguments, keys_arguments
from minipipe.protocol.hosts.token import without_tokens
from minipipe.version import __version__, core

EXAMPLES = """\
examples:
  minipipe run train.py:pline --set decode.n_processes=4
  minipipe top
  minipipe report train.py:pline -o report.html
  minipipe agent --join TOKEN
  minipipe run --help
"""

RUN_EXAMPLES = """\
examples:
  minipipe run train.py:pline
  minipipe run train.py:pline --set decode.n_processes=4 --set decode.timeout_s=30
  minipipe run train.py:pline --progress --seed 1 --metrics-port 9464
  minipipe run train.py:pline --bind tcp://0.0.0.0:7711 --token-file token   (agents may join it)
  minipipe run train.py:pline -- --data /data      (what follows -- is the program's)

The file is executed, but for what stands under `if __name__ == "__main__":`; the pipeline is one
that it makes at its top level. If nothing takes what comes out of it, that is dropped. What
`local_term` of workers returned is printed.

exit status:
  0    it went well
  1    the run failed, or the program while it was loaded
  2    something is written wrongly here
  130  Ctrl-C (died of SIGINT); 143: SIGTERM
"""

TOP_EXAMPLES = """\
examples:
  minipipe top                  the run that is on; of several, a list
  minipipe top 4711             that of this process
  minipipe top --once           as it is now (rates and shares are since its start), and no more
  minipipe top --once --json    the same for other programs

It only looks: a run is asked for its counters, goes on undisturbed, and costs nothing while nobody
looks. Ctrl-C leaves. Runs of other users and inline runs are not listed. The exit status is 0; 1 if
there is no such run; 2 if something is written wrongly here, or several runs are meant.
"""

REPORT_EXAMPLES = """\
example:
  minipipe report train.py:pline -o report.html     (runs it, and writes one page on that run)
"""

DIAGRAM_EXAMPLES = """\
examples:
  minipipe diagram train.py:pline                   (dot's text)
  minipipe diagram train.py:pline -o graph.svg      (by the program dot of Graphviz)

It needs the extra diagram. Nothing is run.
"""

LETTERS_EXAMPLES = """\
example:
  minipipe dead-letters bad.letters
"""


def parsed(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """What is to be done; and what stands behind a `--`, for the program that is run.

    Raises:
        SystemExit: something is written wrongly, or help was asked for.
    """
    own = list(arguments)
    at = own.index("--") if "--" in own else len(own)
    found = parser().parse_args(own[:at])
    return found, own[at + 1 :]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(without_tokens(message))  # one that was given without --join, say


def parser() -> argparse.ArgumentParser:
    """Of all commands."""
    made = _Parser(
        prog="minipipe",
        description="Mini-batch pipelines over processes, on ZeroMQ.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"minipipe {__version__} ({core()})")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, text: str, examples: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    _run(command("run", "run a pipeline of a program, to its end", RUN_EXAMPLES))
    _top(command("top", "watch the runs of yours on this machine", TOP_EXAMPLES))
    _report(command("report", "run a pipeline, and write a page on that run", REPORT_EXAMPLES))
    _diagram(command("diagram", "draw the pipeline of a program", DIAGRAM_EXAMPLES))
    agent_arguments.add_to(command("agent", agent_arguments.TEXT, agent_arguments.EXAMPLES))
    keys_arguments.add_to(command("keys", keys_arguments.TEXT, keys_arguments.EXAMPLES))
    commands.add_parser("demo", help="train on handwritten digits, streamed from disk")
    letters = command("dead-letters", "show what is in a file of dead letters", LETTERS_EXAMPLES)
    letters.add_argument("path", help="the file that dead_letter= was given")
    return made


def _report(command: argparse.ArgumentParser) -> None:
    _run(command)
    command.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default="report.html",
        help="a page (.html), or a picture of the timeline (.png, .svg, .pdf; extra viz)",
    )


def _diagram(command: argparse.ArgumentParser) -> None:
    _target(command)
    command.add_argument(
        "-o", "--output", metavar="FILE", help="a picture (.svg, .pdf, .png), or .dot: its text"
    )
    command.add_argument("--streams", action="store_true", help="draw streams, too")


def _run(command: argparse.ArgumentParser) -> None:
    _target(command)
    command.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="show how far it is (without either: if there is a terminal for it)",
    )
    command.add_argument(
        "--seed",
        type=_whole_number,
        metavar="N",
        help="all random numbers of functors follow from it",
    )
    command.add_argument(
        "--trace", metavar="FILE", help="what every worker did when, for ui.perfetto.dev"
    )
    command.add_argument(
        "--metrics-port",
        type=_port,
        metavar="PORT",
        help="serve the counters to Prometheus on loopback (extra metrics); 0: any free port",
    )
    command.add_argument(
        "--bind",
        metavar="tcp://HOST:PORT",
        help="let other machines join it there, by `minipipe agent`",
    )
    command.add_argument("--name", metavar="NAME", help="of the run, for who joins")
    command.add_argument(
        "--token-file", metavar="FILE", help="write the token that lets others join to this file"
    )
    command.add_argument(
        "--keys", metavar="FILE", help="let others join by the token that was made with these keys"
    )


def _top(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "run", nargs="?", metavar="RUN", help="the pid of its process, or its name in the list"
    )
    command.add_argument(
        "--once", action="store_true", help="show it once; of several runs, all of them"
    )
    command.add_argument(
        "--json", action="store_true", help="as a list of JSON, with all workers; implies --once"
    )
    command.add_argument(
        "--every",
        type=_seconds,
        default=1.0,
        metavar="SECONDS",
        help="how often to look (default 1, at least 0.2)",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.2 <= seconds < 1e6:
        raise argparse.ArgumentTypeError(f"seconds, from 0.2 on, got {text!r}")
    return seconds


def _whole_number(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"a whole number of at least 0, got {text!r}")
    return number


def _port(text: str) -> int:
    number = _whole_number(text)
    if number > 65_535:
        raise argparse.ArgumentTypeError(f"the number of a port, 0 for any, got {text!r}")
    return number


def _target(command: argparse.ArgumentParser) -> None:
    """The arguments of all commands that are about the pipeline of a program."""
    command.add_argument(
        "target",
        metavar="PROG.PY:PIPELINE",
        help="a Python file, and the pipeline's name in it (which may be left out if it has one)",
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SEGMENT.OPTION=VALUE",
        help="an option of a segment, as in decode.n_processes=4; may be given several times",
    )
