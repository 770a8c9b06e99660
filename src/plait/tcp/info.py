"""What one TCP connection tells about itself, under the names of Linux's struct tcp_info."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from plait.units import MICROSECOND

if TYPE_CHECKING:
    from plait.tcp.connection import TcpConnection

STATES: Final = (
    "ESTABLISHED",
    "SYN-SENT",
    "SYN-RECEIVED",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "TIME-WAIT",
    "CLOSED",
    "CLOSE-WAIT",
    "LAST-ACK",
    "LISTEN",
    "CLOSING",
    "SYN-RECEIVED",
)
"""RFC 9293's names of the states, in the order of Linux's numbers, which begin at 1."""

CA_STATES: Final = ("Open", "Disorder", "CWR", "Recovery", "Loss")
"""Linux's states of loss recovery, in the order of their numbers."""

OPT_TIMESTAMPS: Final = 1
OPT_SACK: Final = 2
OPT_WSCALE: Final = 4
OPT_ECN: Final = 8

INFINITE_SSTHRESH: Final = 0x7FFFFFFF
"""`snd_ssthresh` before the first loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpInfo:
    """A TCP connection at one moment; windows in segments of `snd_mss`, times in microseconds."""

    state: str
    """RFC 9293's name."""

    ca_state: str
    """`Open`, `Disorder`, `CWR`, `Recovery` or `Loss`."""

    backoff: int
    """Times the retransmission time-out was doubled."""

    options: int
    """Sum of 1 (timestamps), 2 (SACK), 4 (window scale) and 8 (ECN), as agreed."""

    snd_wscale: int
    """Shift of the windows that the peer tells."""

    rcv_wscale: int
    rto: int
    snd_mss: int
    """Octets of payload in a full segment."""

    unacked: int
    """Segments sent and not acknowledged."""

    sacked: int
    lost: int
    pmtu: int
    """Octets of the largest packet that the path carries."""

    rtt: int
    """Smoothed round-trip time; 0 before the first sample."""

    rttvar: int
    min_rtt: int
    snd_ssthresh: int
    snd_cwnd: int
    advmss: int
    """Segment size that we announced."""

    total_retrans: int
    """Segments sent again."""

    bytes_sent: int
    """Octets of payload, retransmissions counted."""

    bytes_retrans: int
    bytes_acked: int
    bytes_received: int
    notsent_bytes: int
    """Octets queued and not yet sent."""

    snd_wnd: int
    """The peer's window in octets."""

    rcv_wnd: int
    """Our window in octets."""

    reord_seen: int
    """Whether, or on Linux how often, the path reordered segments."""


def tcp_info(connection: TcpConnection) -> TcpInfo:
    """Return the connection as it is now."""
    sender = connection.sender
    mss = sender.mss
    scoreboard = sender.scoreboard
    sent = max(min(sender.snd_nxt, sender.stop) - 1, 0)
    return TcpInfo(
        state=connection.state.value,
        ca_state=_ca_state(connection),
        backoff=sender.backoff,
        options=_options(connection),
        snd_wscale=sender.scale,
        rcv_wscale=connection.receiver.scale,
        rto=sender.rtt.rto // MICROSECOND,
        snd_mss=mss,
        unacked=_segments(sender.snd_nxt - max(sender.snd_una, 1), mss),
        sacked=_segments(scoreboard.sacked.total, mss),
        lost=_segments(scoreboard.lost.total, mss),
        pmtu=connection.path_mtu.mtu,
        rtt=sender.rtt.srtt // MICROSECOND,
        rttvar=sender.rtt.rttvar // MICROSECOND,
        min_rtt=sender.rtt.min_rtt // MICROSECOND,
        snd_ssthresh=min(sender.controller.ssthresh // mss, INFINITE_SSTHRESH),
        snd_cwnd=sender.controller.cwnd // mss,
        advmss=connection.local_mss,
        total_retrans=sender.resent_segments,
        bytes_sent=sender.sent,
        bytes_retrans=max(sender.sent - sent, 0),
        bytes_acked=max(min(sender.snd_una, sender.stop) - 1, 0),
        bytes_received=connection.receiver.received,
        notsent_bytes=max(sender.stop - max(sender.snd_nxt, 1), 0),
        snd_wnd=sender.snd_wnd,
        rcv_wnd=connection.receiver.window,
        reord_seen=int(sender.recovery.rack.reordering_seen),
    )


def _segments(octets: int, mss: int) -> int:
    return -(-max(octets, 0) // mss)


def _options(connection: TcpConnection) -> int:
    agreed = {
        OPT_TIMESTAMPS: connection.timestamps.on,
        OPT_SACK: connection.sack,
        OPT_WSCALE: connection.window_scaling,
        OPT_ECN: connection.ecn.on,
    }
    return sum(bit for bit, on in agreed.items() if on)


def _ca_state(connection: TcpConnection) -> str:
    recovery = connection.sender.recovery
    if recovery.timed_out:
        return "Loss"
    if recovery.reducing:
        return "Recovery"
    if connection.ecn.reducing(connection.sender):
        return "CWR"
    return "Disorder" if connection.sender.scoreboard.sacked.total else "Open"
