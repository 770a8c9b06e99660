"""TCP Fast Open on one connection: data on the SYN (RFC 7413).

Only the first SYN carries the option and data; whatever is not acknowledged by the SYN/ACK is the
layer above's to send once more, in order and under its own mapping.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from plait.tcp.state import Role
from plait.units import Nanos, Octets
from plait.wire.packing import option_length, pack
from plait.wire.segment import Segment
from plait.wire.tcp_options import FastOpen

if TYPE_CHECKING:
    from plait.tcp.connection import TcpConnection


class Attempt:
    """What the initiator puts on its SYN, and what became of it."""

    __slots__ = ("acked", "answer", "cookie", "data", "mss", "sent")

    def __init__(self, cookie: bytes, mss: Octets, data: bytes) -> None:
        """Plan an attempt.

        Args:
            cookie: That of the listener, empty to ask for one: then no data is sent.
            mss: What the listener announced when it gave the cookie.
            data: The beginning of the stream; as much as fits is sent.
        """
        self.cookie = cookie
        self.mss = mss
        self.data = data if cookie else b""
        self.sent: Octets = 0
        """Octets of `data` that the SYN carried."""

        self.acked: Octets = 0
        """Octets of them that the SYN/ACK acknowledged."""

        self.answer = b""
        """The cookie on the SYN/ACK."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a listener makes of the option on a SYN."""

    early: bool = False
    """Take the data: the cookie is valid."""

    cookie: bytes = b""
    """To be given to the initiator."""


NO_GRANT: Final = Grant()
"""The SYN has no option, or the listener does not know it."""


def offered(segment: Segment) -> FastOpen | None:
    """Return the option of a SYN or SYN/ACK."""
    for option in segment.options:
        if isinstance(option, FastOpen):
            return option
    return None


def put_on_syn(connection: TcpConnection, attempt: Attempt, segment: Segment) -> None:
    """Add cookie and data to our first SYN, unless other options leave no room."""
    option = FastOpen(attempt.cookie)
    segment.options = (*segment.options, option)
    if option in pack(segment)[1]:
        segment.options = segment.options[:-1]
        return
    room = min(attempt.mss, connection.local_mss) - option_length(segment)
    data = attempt.data[: max(room, 0)]
    if data:
        attempt.sent = len(data)
        segment.payload = (data,)
        segment.length = len(data)


def on_syn_ack(
    connection: TcpConnection, attempt: Attempt, segment: Segment, announced: Octets, ack: Octets
) -> None:
    """Note the cookie; what is acknowledged beyond the SYN is delivered (RFC 7413, 4.2.1).

    Args:
        announced: Segment size that the SYN/ACK announces.
        ack: Unwrapped SEG.ACK.
    """
    option = offered(segment)
    if option is not None:
        attempt.answer = option.cookie
        attempt.mss = announced
    attempt.acked = ack - 1
    sender = connection.sender
    sender.snd_una = sender.snd_nxt = sender.stop = sender.snd_wl2 = ack


def take_data(connection: TcpConnection, now: Nanos, syn: Segment) -> Octets:
    """Take the data of a SYN whose cookie is valid; return how many octets our SYN/ACK acks.

    A FIN on it is not taken: it comes again.
    """
    receiver = connection.receiver
    if syn.length:
        receiver.on_payload(now, 1, syn.payload, syn.length)
    return receiver.reassembly.next - 1


def go_ahead(connection: TcpConnection, syn: Segment) -> None:
    """Let data follow our SYN/ACK at once, which saves the round trip (RFC 7413, 4.2.2)."""
    connection.role = Role.FAST_LISTENER
    connection.sender.snd_wnd = connection.sender.max_window = syn.window
