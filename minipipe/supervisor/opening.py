"""A run is opened to other machines, if its user wishes that."""

from __future__ import annotations

from minipipe.supervisor.placing import placement_of
from minipipe.supervisor.processes import WorkerProcesses


def let_others_join(
    processes: WorkerProcesses, directory: str, supervisor: str
) -> tuple[str, str | None]:
    """Starts the gateway of a run with `bind=`, and says how others join.

    Args:
        processes: of the run.
        directory: of the run.
        supervisor: the address of its inbox.

    Returns:
        The address of the gateway, and the token; "" and None: nobody can join.

    Raises:
        StartError: its port cannot be bound, or nobody elsewhere could come there.
    """
    hosting = processes.options.hosting
    if hosting is None:
        return "", None
    # Only here: it comes with all that is between hosts.
    from minipipe.supervisor.hosts.invitation import announce, gateway_address, open_gateway

    pickled = [one.pickled for one in processes.captured.values() if one.pickled is not None]
    modules = dict.fromkeys(name for one in pickled for name in one.modules)
    gateway, token = open_gateway(hosting, directory, supervisor, modules)
    placement = placement_of(processes.graph, hosting)

    def lost_after_s(worker: int) -> float:
        is_stateless = processes.handles[worker].segment.stateless
        return hosting.lost_after_s if is_stateless else hosting.state_lost_after_s

    hosts = processes.hosts
    hosts.let_others_join(gateway, placement, placed=processes.placed, lost_after_s=lost_after_s)
    announce(token, hosting)
    return gateway_address(directory), token.text
