"""Items over a transport: credit, identity, parcels and confirmation.

`Node` is one worker's end of everything: its inbox, its links to others, an `Inlet` for each
stream that it takes from, an `Outlet` for each one that it puts to.
"""

from __future__ import annotations

from minipipe.protocol.wiring import InletSpec, OutletSpec, Role, Wiring
from minipipe.stream.arrived import Turn
from minipipe.stream.inlet import Inlet
from minipipe.stream.node import Node
from minipipe.stream.orders import PassLeft, StopRun
from minipipe.stream.outbox import names_of
from minipipe.stream.outlet import Outlet

__all__ = [
    "Inlet",
    "InletSpec",
    "Node",
    "Outlet",
    "OutletSpec",
    "PassLeft",
    "Role",
    "StopRun",
    "Turn",
    "Wiring",
    "names_of",
]
