"""A worker of a pipeline whose workers stay: it goes through pass after pass."""

from __future__ import annotations

from typing import Protocol

from minipipe.process.seeds import current
from minipipe.process.worker_info import WorkerInfo
from minipipe.stream import PassLeft, records
from minipipe.worker.functor_runner import FunctorRunner


class Loop(Protocol):
    """Works with one functor."""

    def run(self) -> None:
        """Works until there is nothing more to do in this pass."""

    def leave_pass(self) -> None:
        """The pass is over, or was left early: lets go of what is open of it."""


def go_through_pass(loop: Loop, info: WorkerInfo, pass_: int) -> None:
    """Works in this pass, and says so to who asks for it, and to what is drawn at random."""
    info.pass_ = pass_
    current().begin_pass(pass_)
    loop.run()


def go_through_passes(runner: FunctorRunner, loop: Loop, info: WorkerInfo) -> None:
    """Works in each pass, until the supervisor says that no more come.

    A worker that keeps state goes on to the next pass when it has told that it is done with one.
    A stateless one has no passes: it works off what comes, and leaves when it is told to.
    """
    node, orders = runner.node, runner.node.orders
    runner.info = info
    inlets = node.inlets.values()
    if any(inlet.is_stateless for inlet in inlets):
        loop.run()
        return

    def is_due() -> bool:
        has_begun = orders.begun >= orders.pass_ or any(i.queue or i.closed_by for i in inlets)
        return has_begun or orders.leaving

    while True:
        try:
            runner.wait_for_input(is_due)
            if orders.leaving:
                return
            pass_ = orders.pass_
            go_through_pass(loop, info, pass_)
            loop.leave_pass()
            node.passes.begin(pass_ + 1)
            node.report(records.PassDone(pass_))
        except PassLeft:
            orders.left = False
            loop.leave_pass()
