"""Controllers of one connection, as tests of coupled congestion control want them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from plait.congestion.base import AckSample
from plait.congestion.coupling import Coupled
from plait.units import SECOND, Nanos, Octets

MSS = 1460

C = TypeVar("C", bound=Coupled)


def group(kind: type[C], windows: Sequence[Octets], rtts: Sequence[float]) -> list[C]:
    """Return controllers in congestion avoidance, with windows in octets and seconds of RTT."""
    made: list[C] = []
    for window, rtt in zip(windows, rtts, strict=True):
        one = kind(MSS)
        one.couple(made)
        one.cwnd = one.ssthresh = window
        one.srtt = round(rtt * SECOND)
        made.append(one)
    return made


def ack(one: Coupled, octets: Octets = MSS, *, now: Nanos = 0, app_limited: bool = False) -> None:
    """Acknowledge octets to one of them, its window in use."""
    one.on_ack(AckSample(now, octets, one.cwnd, one.srtt, app_limited))
