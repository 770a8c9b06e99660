"""Middleboxes: one contract and one module for each habit of theirs."""

from __future__ import annotations

from typing import Final

from plait.registry import Registry
from plait.sim.middlebox.base import INSIDE, OUTSIDE, Middlebox, Transparent

middleboxes: Final[Registry[Middlebox]] = Registry(
    "middlebox", "plait.middlebox", {Transparent.kind: Transparent}
)

__all__ = ["INSIDE", "OUTSIDE", "Middlebox", "Transparent", "middleboxes"]
