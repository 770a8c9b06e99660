"""What a connection tells about itself: immutable snapshots with Linux's names.

Fields of `ConnectionInfo` that Linux's struct mptcp_info (uapi/linux/mptcp.h) has too are called as
there, without the prefix; but `subflows` are the subflows themselves, and their number beside the
first is `extra_subflows`, the kernel's newer name for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from plait.addresses import Path
from plait.tcp.info import TcpInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class SubflowInfo:
    """One subflow at one moment."""

    path: Path
    tcp: TcpInfo
    """The TCP connection beneath it."""

    backup: bool
    local_id: int
    remote_id: int
    id: int = 0
    """Names the subflow as long as it lives, in this connection: 1 to 255."""

    fully_established: bool = True
    """Its handshake is complete, that of Multipath TCP included, and neither side has closed it."""

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.tcp.state != "CLOSED"

    @property
    def established(self) -> bool:
        """Whether its TCP connection is open both ways."""
        return self.tcp.state == "ESTABLISHED"

    def closed(self) -> SubflowInfo:
        """Return what is left of it after its end."""
        tcp = replace(self.tcp, state="CLOSED")
        return replace(self, tcp=tcp, fully_established=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionInfo:
    """One connection at one moment; what only Multipath TCP has is 0 or False on plain TCP."""

    is_mptcp: bool
    version: int | None
    token: int | None
    """The local token, 32 bits."""

    csum_enabled: bool
    """DSS checksums are in use."""

    fallback: bool = False
    """Multipath TCP was wanted, and the connection is plain TCP."""

    fallback_reason: str | None
    """Why the connection is plain TCP; None while it is Multipath TCP."""

    backend: str = "stack"
    """What it runs on: `kernel`, `stack` (plait's own) or `tcp` (the kernel's plain TCP)."""

    remote_key_received: bool = False
    bytes_sent: int
    """Octets of the stream that were sent, each counted once."""

    bytes_received: int
    """Octets of the stream that arrived in order."""

    bytes_acked: int = 0
    """Octets of the stream that the peer has acknowledged."""

    bytes_retrans: int = 0
    """Octets of the stream that were sent once more, on whatever subflow."""

    retransmits: int = 0
    """Time-outs of the data level in a row."""

    write_seq: int = 0
    """Data sequence number of what is written next, 64 bits as on the wire."""

    snd_una: int = 0
    """First data sequence number without a Data ACK, likewise."""

    rcv_nxt: int = 0
    """Data ACK that we send, likewise."""

    last_data_sent: int = 0
    """Milliseconds since data left; since the connection opened, if none did."""

    last_data_recv: int = 0
    """Milliseconds since data arrived, likewise."""

    last_ack_recv: int = 0
    """Milliseconds since an acceptable segment arrived, likewise."""

    subflows_total: int = 0
    """Subflows that live, those that are opening counted."""

    extra_subflows: int = 0
    """Of these, those beside the first."""

    subflows_max: int = 0
    """Most there may be beside the first."""

    add_addr_signal: int = 0
    """Addresses of ours, with or without a port, that the peer was told of."""

    add_addr_signal_max: int = 0
    """Addresses there are to tell of: those of the host, and those that settings name."""

    add_addr_accepted: int = 0
    """Addresses that the peer told of and did not remove."""

    add_addr_accepted_max: int = 0
    """Addresses of the peer that are remembered at most."""

    local_addr_used: int = 0
    """Further addresses of ours that subflows we opened use."""

    local_addr_max: int = 0
    """Further addresses there are to open subflows from."""

    subflows: tuple[SubflowInfo, ...]
    """Live and ended ones, the first subflow first."""
