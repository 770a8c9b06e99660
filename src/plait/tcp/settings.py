"""What an operator may set about TCP, with the defaults of a Linux host."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Final

from plait.congestion import controllers
from plait.errors import UsageError, check_name
from plait.units import MILLISECOND, SECOND, Nanos, Octets
from plait.wire.segment import TTL, UNMARKED, Marking

ECN: Final = ("no", "passive", "active")

MTU_PROBING: Final = ("off", "black hole", "always")

_ECN_BITS: Final = 3

MAX_SHIFT: Final = 14
"""Largest window scale (RFC 7323, 2.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpSettings:
    """Settings of one subflow; times in nanoseconds.  Raises UsageError for unknown names."""

    congestion: str = "cubic"
    pacing: bool = False
    """Spread what a window lets go over the round trip; controllers that need it are paced always.

    It costs a timer for each millisecond of data, and super-segments of no more than that.
    """

    mtu_probing: str = "black hole"
    """Finding the path MTU by larger segments (RFC 4821): `off`, `black hole` (where full segments
    vanish) or `always`."""

    timestamps: bool = True
    sack: bool = True
    window_scaling: bool = True
    """Offer to scale windows (RFC 7323, 2)."""

    window_scale: int = field(init=False)
    """Shift we offer: the smallest that tells the whole receive buffer; -1 offers none."""

    receive_buffer: Octets = 4 << 20
    send_buffer: Octets = 4 << 20
    autotuning: bool = True
    """Let buffers start small and grow to these sizes as the paths can use it."""

    nodelay: bool = True
    """Send small segments at once, as every multipath application wants; False is Nagle's rule."""

    ecn: str = "passive"
    """Explicit Congestion Notification (RFC 3168): `no`, `passive` agrees if the peer offers it,
    `active` offers it."""

    max_mss: Octets = 65535
    """Upper bound of the MSS we announce, whatever the MTU allows."""

    initial_rto: Nanos = SECOND
    min_rto: Nanos = 200 * MILLISECOND
    """RFC 6298 says a second; every widely used stack says a fifth of it."""

    max_rto: Nanos = 120 * SECOND
    syn_retries: int = 6
    """SYNs and SYN/ACKs sent again before giving up."""

    retries: int = 15
    """Time-outs of the same data before a subflow is given up (RFC 9293, 3.8.3: R2)."""

    delayed_ack: Nanos = 40 * MILLISECOND
    time_wait: Nanos = 60 * SECOND
    """2 MSL."""

    challenge_gap: Nanos = SECOND // 2
    """Least time between two answers to segments that should not be there (RFC 5961, 7).

    Two hosts whose numbers a box has set apart would answer each other for ever at a shorter one.
    """

    keepalive: bool = False
    """Probe a peer that has been silent for `keepalive_idle` (RFC 9293, 3.8.4)."""

    keepalive_idle: Nanos = 7200 * SECOND
    keepalive_interval: Nanos = 75 * SECOND
    keepalive_probes: int = 9
    """Unanswered probes before a subflow is given up."""

    user_timeout: Nanos = 0
    """How long data, or a probe, may stay unanswered before a subflow is given up (RFC 9293,
    3.9.1.8); 0 leaves it to `retries` and `keepalive_probes`."""

    tos: int = 0
    """Type of service, or traffic class, of every segment: DSCP << 2; the last two bits, ECN's, are
    the stack's own (RFC 2474, 3)."""

    ttl: int = TTL
    """Time to live, or hop limit, of every segment."""

    marking: Marking = field(init=False)
    """Both."""

    def __post_init__(self) -> None:
        """Check names and bounds, and derive `window_scale` and `marking`."""
        controllers.make(self.congestion, 1460)
        check_name("ecn", self.ecn, ECN)
        check_name("mtu_probing", self.mtu_probing, MTU_PROBING)
        shift = window_scale(self.receive_buffer) if self.window_scaling else -1
        object.__setattr__(self, "window_scale", shift)
        if not 0 <= self.tos <= 255:
            raise UsageError(f"tos: must be between 0 and 255, not {self.tos}")
        if not 1 <= self.ttl <= 255:
            raise UsageError(f"ttl: must be between 1 and 255, not {self.ttl}")
        marking = Marking(self.tos & ~_ECN_BITS, self.ttl)
        object.__setattr__(self, "marking", UNMARKED if marking == UNMARKED else marking)


def changed_fields(before: TcpSettings, after: TcpSettings) -> dict[str, Any]:
    """Return the settings that differ, by name, with what they become."""
    names = [one.name for one in fields(before) if one.init]
    return {
        name: getattr(after, name)
        for name in names
        if getattr(before, name) != getattr(after, name)
    }


def window_scale(receive_buffer: Octets) -> int:
    """Return the smallest shift that lets 16 bits tell of the whole buffer (RFC 7323, 2.2).

    A larger one would tell the window in coarser steps than it moves.
    """
    return min(max(receive_buffer.bit_length() - 16, 0), MAX_SHIFT)
