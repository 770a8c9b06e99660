"""Path management: which subflows exist and which addresses the peer hears of."""

from __future__ import annotations

from typing import Final

from plait.pathing.base import Action, Advertise, OpenSubflow, PathManager, View, Withdraw
from plait.pathing.default import Default
from plait.pathing.full_mesh import FullMesh
from plait.pathing.interfaces import Interfaces
from plait.pathing.ndiffports import NDiffPorts
from plait.pathing.signal import Signal
from plait.registry import Registry

path_managers: Final[Registry[PathManager]] = Registry(
    "path manager",
    "plait.pathing",
    {
        Default.name: Default,
        FullMesh.name: FullMesh,
        Interfaces.name: Interfaces,
        NDiffPorts.name: NDiffPorts,
        Signal.name: Signal,
    },
)

__all__ = [
    "Action",
    "Advertise",
    "Default",
    "FullMesh",
    "Interfaces",
    "NDiffPorts",
    "OpenSubflow",
    "PathManager",
    "Signal",
    "View",
    "Withdraw",
    "path_managers",
]
