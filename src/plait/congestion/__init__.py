"""Congestion control: one contract and one module for each algorithm."""

from __future__ import annotations

from typing import Final

from plait.congestion.auto import Auto
from plait.congestion.balia import Balia
from plait.congestion.base import AckSample, CongestionController, LossSample, RateSample
from plait.congestion.bbr import Bbr
from plait.congestion.coupled import FullyCoupled
from plait.congestion.cubic import Cubic
from plait.congestion.ewtcp import Ewtcp
from plait.congestion.lia import Lia
from plait.congestion.olia import Olia
from plait.congestion.reno import Reno
from plait.congestion.wvegas import Wvegas
from plait.registry import Registry

controllers: Final[Registry[CongestionController]] = Registry(
    "congestion control",
    "plait.congestion",
    {
        Auto.name: Auto,
        Balia.name: Balia,
        Bbr.name: Bbr,
        FullyCoupled.name: FullyCoupled,
        Cubic.name: Cubic,
        Ewtcp.name: Ewtcp,
        Lia.name: Lia,
        Olia.name: Olia,
        Reno.name: Reno,
        Wvegas.name: Wvegas,
    },
)

__all__ = [
    "AckSample",
    "Auto",
    "Balia",
    "Bbr",
    "CongestionController",
    "Cubic",
    "Ewtcp",
    "FullyCoupled",
    "Lia",
    "LossSample",
    "Olia",
    "RateSample",
    "Reno",
    "Wvegas",
    "controllers",
]
