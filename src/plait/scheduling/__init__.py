"""Scheduling: which subflow sends which data."""

from __future__ import annotations

from typing import Final

from plait.registry import Registry
from plait.scheduling.active_standby import ActiveStandby
from plait.scheduling.base import Grant, Scheduler, SubflowView
from plait.scheduling.blest import Blest
from plait.scheduling.ecf import Ecf
from plait.scheduling.load_split import LoadSplit
from plait.scheduling.lowest_rtt import LowestRtt
from plait.scheduling.priority import CheapFirst, Priority
from plait.scheduling.redundant import Redundant
from plait.scheduling.round_robin import RoundRobin
from plait.scheduling.smallest_delay import SmallestDelay

schedulers: Final[Registry[Scheduler]] = Registry(
    "scheduler",
    "plait.scheduling",
    {
        ActiveStandby.name: ActiveStandby,
        Blest.name: Blest,
        CheapFirst.name: CheapFirst,
        Ecf.name: Ecf,
        LoadSplit.name: LoadSplit,
        LowestRtt.name: LowestRtt,
        Priority.name: Priority,
        Redundant.name: Redundant,
        RoundRobin.name: RoundRobin,
        SmallestDelay.name: SmallestDelay,
    },
)

__all__ = ["Grant", "LowestRtt", "Scheduler", "SubflowView", "schedulers"]
