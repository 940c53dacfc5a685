"""The caller's loop as a worker of this process: how it takes part in a run, and how it ends."""

from __future__ import annotations

import time

from minipipe.graph import Graph
from minipipe.stream import Node, records
from minipipe.stream.duties import LISTEN_S
from minipipe.stream.node import WAIT_S
from minipipe.stream.page import OUTSIDE
from minipipe.supervisor.processes import WorkerProcesses
from minipipe.transport import ControlInbox, Transport
from minipipe.worker.service_thread import ServiceThread


def node_of_caller(
    *,
    run: int,
    graph: Graph,
    processes: WorkerProcesses,
    transport: Transport,
    supervisor: str,
    gateway: str = "",
) -> Node:
    """The node of the caller's loop, which takes part like any worker, in this process.

    Args:
        run: its id.
        supervisor: the address of its inbox.
        gateway: the address of the run's gateway, if other machines may join.
    """
    segment = graph.caller
    assert segment is not None
    handle = next(h for h in processes.handles.values() if h.member.is_caller)
    node = Node(
        run=run,
        ident=handle.ident,
        wiring=graph.wiring(segment.index),
        transport=transport,
        supervisor=supervisor,
        gateway=gateway,
        page=processes.page_of(handle.ident),
        control=ControlInbox(processes.controls.open(handle.ident).detach()),
    )
    if processes.tracing is not None:
        processes.tracing.begin_caller(node)
    return node


def join_in(caller: Node, service_thread: ServiceThread) -> None:
    """The caller's loop is there and ready: the supervisor hears that, as from any worker."""
    caller.report(records.Bound(caller.inbox.address))
    caller.report(records.Wired())
    # Until the loop asks for an item, it is the service thread who serves.
    service_thread.watch(time.monotonic(), LISTEN_S)
    caller.handover.enter(OUTSIDE)
    service_thread.start()


def close_caller(node: Node, transport: Transport) -> None:
    """Closes the caller's sockets, at a moment when the caller's thread does not use them."""
    # A reader that waits sees it, within WAIT_S.
    node.orders.stopped = node.orders.stopped or "ended"
    until_s = time.monotonic() + 2 * WAIT_S
    while True:
        with node.handover.announce() as in_user_code:
            if in_user_code or time.monotonic() > until_s:
                transport.close()
                node.reception.close()
                _forget_items(node)
                node.memory.close()
                return
        time.sleep(0.001)


def _forget_items(node: Node) -> None:
    """Lets go of what the loop did not take: else that would live as long as the pipeline does."""
    for inlet in node.inlets.values():
        inlet.turn = None
        inlet.begin_pass(node.orders.pass_ + 1)  # also what waits for those before it in order
        inlet.unconfirmed.clear()
