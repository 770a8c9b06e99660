"""Scheduling: which subflow sends which data."""

from __future__ import annotations

from typing import Final

from plait.registry import Registry
from plait.scheduling.base import Grant, Scheduler, SubflowView
from plait.scheduling.lowest_rtt import LowestRtt

schedulers: Final[Registry[Scheduler]] = Registry(
    "scheduler", "plait.scheduling", {LowestRtt.name: LowestRtt}
)

__all__ = ["Grant", "LowestRtt", "Scheduler", "SubflowView", "schedulers"]
