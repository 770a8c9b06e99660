"""What an operator may set about TCP, with the defaults of a Linux host."""

from __future__ import annotations

from dataclasses import dataclass

from plait.units import MILLISECOND, SECOND, Nanos, Octets


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpSettings:
    """Settings of one subflow; times in nanoseconds."""

    congestion: str = "cubic"
    timestamps: bool = True
    sack: bool = True
    window_scale: int = 8
    """Shift we offer, 0 to 14; -1 does not offer the option (RFC 7323, 2)."""

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
