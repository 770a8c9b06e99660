"""The zoo of middleboxes: what networks do to TCP, each box by its name."""

from __future__ import annotations

from typing import Final

from plait.registry import Registry
from plait.sim.middlebox.base import Crossing, Middlebox, Transparent
from plait.sim.middlebox.fields import BleachEcn, StripTimestamps, WindowRewriter
from plait.sim.middlebox.firewall import StatefulFirewall
from plait.sim.middlebox.holes import DropUnseenAcks, HoldBehindHole
from plait.sim.middlebox.injection import FinInjector, RstInjector
from plait.sim.middlebox.nat import Nat, StrictNat
from plait.sim.middlebox.payload import Corrupter, PayloadAlg
from plait.sim.middlebox.pmtu import PmtuBlackHole, PmtuLimit
from plait.sim.middlebox.proxy import EarlyAck
from plait.sim.middlebox.segmentation import Coalescer, Splitter
from plait.sim.middlebox.sequence import IsnRewriter
from plait.sim.middlebox.strip import (
    DropUnknownSyn,
    OverwriteOptions,
    StripData,
    StripLate,
    StripSyn,
    StripSynAck,
)

_BOXES: Final[tuple[type[Middlebox], ...]] = (
    BleachEcn,
    Coalescer,
    Corrupter,
    DropUnknownSyn,
    DropUnseenAcks,
    EarlyAck,
    FinInjector,
    HoldBehindHole,
    IsnRewriter,
    Nat,
    OverwriteOptions,
    PayloadAlg,
    PmtuBlackHole,
    PmtuLimit,
    RstInjector,
    Splitter,
    StatefulFirewall,
    StrictNat,
    StripData,
    StripLate,
    StripSyn,
    StripSynAck,
    StripTimestamps,
    Transparent,
    WindowRewriter,
)

middleboxes: Final[Registry[Middlebox]] = Registry(
    "middlebox", "plait.middlebox", {box.name: box for box in _BOXES}
)

__all__ = [
    "BleachEcn",
    "Coalescer",
    "Corrupter",
    "Crossing",
    "DropUnknownSyn",
    "DropUnseenAcks",
    "EarlyAck",
    "FinInjector",
    "HoldBehindHole",
    "IsnRewriter",
    "Middlebox",
    "Nat",
    "OverwriteOptions",
    "PayloadAlg",
    "PmtuBlackHole",
    "PmtuLimit",
    "RstInjector",
    "Splitter",
    "StatefulFirewall",
    "StrictNat",
    "StripData",
    "StripLate",
    "StripSyn",
    "StripSynAck",
    "StripTimestamps",
    "Transparent",
    "WindowRewriter",
    "middleboxes",
]
