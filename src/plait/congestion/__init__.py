"""Congestion control: one contract and one module for each algorithm."""

from __future__ import annotations

from typing import Final

from plait.congestion.base import AckSample, CongestionController, LossSample, RateSample
from plait.congestion.bbr import Bbr
from plait.congestion.cubic import Cubic
from plait.congestion.reno import Reno
from plait.registry import Registry

controllers: Final[Registry[CongestionController]] = Registry(
    "congestion control",
    "plait.congestion",
    {Bbr.name: Bbr, Cubic.name: Cubic, Reno.name: Reno},
)

__all__ = [
    "AckSample",
    "Bbr",
    "CongestionController",
    "Cubic",
    "LossSample",
    "RateSample",
    "Reno",
    "controllers",
]
