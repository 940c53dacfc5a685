"""`minipipe run prog.py:pline`, and `report`: a pass of a program's pipeline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from minipipe.command import settings
from minipipe.command.failures import WRONG, tell
from minipipe.command.program import load_pipeline
from minipipe.command.saying import say
from minipipe.errors import OptionError, UsageError
from minipipe.observe import whole_file
from minipipe.observe.trace_wish import check_trace
from minipipe.pipeline.report import check_can_be_written
from minipipe.pipeline.runnable import Runnable
from minipipe.process.describe import describe
from minipipe.supervisor.hosting import check_hosting


def main(arguments: argparse.Namespace, rest: Sequence[str]) -> int:
    """Runs it; returns the exit code.

    Args:
        rest: what the program finds in `sys.argv`.
    """
    command = f"minipipe {arguments.command}"
    try:
        pipeline = load_pipeline(arguments.target, rest)
        settings.apply(pipeline, arguments.set)
        check_files(arguments)
        results = run(pipeline, arguments)
    except UsageError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return WRONG
    except Exception as error:  # of any kind: the program's own, a functor's
        tell(error, command)
        return 1
    say(*(f"{worker}: {describe(result)}" for worker, result in results.items()))
    return 0


def check_files(arguments: argparse.Namespace) -> None:
    """Whether what is to be written can be, and who may join, before a run that may take hours.

    Raises:
        UsageError: it cannot.
    """
    try:
        if arguments.trace is not None:
            whole_file.check_can_be_written(str(check_trace(arguments.trace)))
        if arguments.command == "report":
            check_can_be_written(arguments.output)
        check_hosting(hosting_of(arguments))
    except OSError as error:
        what = error.strerror or error
        raise UsageError(f"--trace {arguments.trace} cannot be written: {what}") from error
    except OptionError as error:
        raise UsageError(str(error)) from error


def hosting_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Whether other machines may join, as options of `run`; what is not written is left out."""
    given = {name: getattr(arguments, name) for name in ("bind", "name", "token_file", "keys")}
    return {name: value for name, value in given.items() if value is not None}


def run(pipeline: Runnable, arguments: argparse.Namespace) -> dict[str, object]:
    """One pass, to its end, with its report, if that is wished; returns the results of workers."""
    pipeline.run(
        seed=arguments.seed,
        progress=arguments.progress,
        metrics_port=arguments.metrics_port,
        trace=arguments.trace or arguments.command == "report" or None,
        **hosting_of(arguments),
    )
    try:
        if pipeline.has_output:
            print(
                f"minipipe {arguments.command}: nobody takes what comes out of the pipeline, so it "
                "is read and dropped here (a Sink at its end would take it)",
                file=sys.stderr,
            )
            for _ in pipeline:
                pass
        results = pipeline.close()
    except BaseException:  # a run that has failed, or was interrupted: it is looked at all the more
        if arguments.command == "report":
            try:
                say(f"report: {pipeline.report(arguments.output)}")
            except Exception as error:  # of any kind: what is to be told is the other one
                tell(error, f"minipipe {arguments.command}")
        raise
    if arguments.command == "report":
        say(f"report: {pipeline.report(arguments.output)}")
    return results
