"""Attackers on the host of `support.script`, and what they would like to change.

Blind ones see nothing and guess sequence numbers.  Those on a path see it and send into it.  Those
that are time-shifted saw the keys when the connection opened.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Final

from plait.addresses import IpAddress
from plait.mptcp.keys import Keys
from plait.wire.mptcp.add_addr import AddAddr
from plait.wire.mptcp.mp_tcprst import MpTcprst
from plait.wire.segment import Segment
from support.script import UNCHECKED, MpPeer, resets

MESH: Final = replace(UNCHECKED, path_manager="fullmesh")
"""Settings of a host that joins what it hears of."""

ATTACKER: Final = ip_address("10.66.0.66")
VICTIM: Final = ip_address("10.99.0.99")


def state(peer: MpPeer) -> tuple[object, ...]:
    """Return all of the host's connection that an attacker might change."""
    entry = peer.script.host._connections.by_id.get(peer.id)
    if entry is None:
        return ("gone",)
    connection = entry.connection
    subflows = [(one.phase, one.backup, one.remote_id) for one in connection.subflows]
    return (
        connection.mode,
        connection.failure,
        connection.receiver.rcv_nxt,
        connection.receiver.fin_at,
        connection.sender.snd_una,
        subflows,
        dict(connection.addresses.remote),
    )


def advertised(
    peer: MpPeer,
    address: IpAddress,
    *,
    address_id: int = 3,
    port: int = 0,
    keys: Keys | None = None,
) -> AddAddr:
    """Return an ADD_ADDR whose HMAC is made with the peer's keys, or with others."""
    hmac = (keys or peer.keys).advertising_hmac(address_id, address, port)
    return AddAddr(address_id=address_id, address=address, port=port, hmac=hmac)


def reasons(segments: list[Segment]) -> list[int]:
    """Return the MP_TCPRST reasons of the RSTs among segments."""
    return [
        option.reason
        for segment in resets(segments)
        for option in segment.options
        if isinstance(option, MpTcprst)
    ]


def unharmed(peer: MpPeer, data: bytes = b"unharmed") -> bool:
    """Return whether the peer's next data arrives and nothing else does."""
    peer.data(data)
    return peer.script.read(peer.id) == data and peer.script.endings() == []
