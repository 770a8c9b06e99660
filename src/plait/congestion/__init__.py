"""Congestion control: one contract and one module for each algorithm."""

from __future__ import annotations

from typing import Final

from plait.congestion.base import AckSample, CongestionController
from plait.congestion.cubic import Cubic
from plait.congestion.reno import Reno
from plait.registry import Registry

controllers: Final[Registry[CongestionController]] = Registry(
    "congestion control", "plait.congestion", {Cubic.name: Cubic, Reno.name: Reno}
)

__all__ = ["AckSample", "CongestionController", "Cubic", "Reno", "controllers"]
