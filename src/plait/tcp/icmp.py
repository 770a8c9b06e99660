"""What ICMP errors do to a connection: as little as is safe (RFC 9293, 3.9.2.2; RFC 5927)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.tcp.state import Failure, State
from plait.units import Nanos
from plait.wire.icmp import (
    DESTINATION_UNREACHABLE,
    DESTINATION_UNREACHABLE_V6,
    FRAGMENTATION_NEEDED,
    PACKET_TOO_BIG_V6,
    PORT_UNREACHABLE,
    PORT_UNREACHABLE_V6,
    PROTOCOL_UNREACHABLE,
    IcmpError,
)
from plait.wire.seq import unwrap32

if TYPE_CHECKING:
    from plait.tcp.connection import TcpConnection


def on_error(connection: TcpConnection, now: Nanos, error: IcmpError) -> bool:
    """Apply an error about one of our segments; return whether it quotes one in flight.

    Once a connection is synchronized even hard errors say nothing that the retransmission timer
    would not find out (RFC 5927, 5.2); before, the application wants to know at once (RFC 5461).
    """
    sender = connection.sender
    if not sender.snd_una <= unwrap32(error.seq, connection.iss, sender.snd_una) < sender.snd_nxt:
        return False
    if is_too_big(error):
        connection.path_mtu.on_too_big(connection, now, error.mtu)
    elif is_unreachable(error) and connection.state is State.SYN_SENT:
        connection.refuse(Failure.REFUSED if by_host(error) else Failure.UNREACHABLE)
    return True


def is_too_big(error: IcmpError) -> bool:
    """Return whether the error says that the segment exceeded the MTU of a link."""
    if error.version == 6:
        return error.type == PACKET_TOO_BIG_V6
    return error.type == DESTINATION_UNREACHABLE and error.code == FRAGMENTATION_NEEDED


def is_unreachable(error: IcmpError) -> bool:
    """Return whether the error says that the destination, port or protocol cannot be reached."""
    if error.version == 6:
        return error.type == DESTINATION_UNREACHABLE_V6
    return error.type == DESTINATION_UNREACHABLE and error.code != FRAGMENTATION_NEEDED


def by_host(error: IcmpError) -> bool:
    """Return whether the destination itself says that nobody there takes such segments."""
    if error.version == 6:
        return error.code == PORT_UNREACHABLE_V6
    return error.code in (PROTOCOL_UNREACHABLE, PORT_UNREACHABLE)
