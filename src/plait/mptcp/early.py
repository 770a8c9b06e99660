"""Data on the SYN of the first subflow (RFC 8684, appendix B).

It is outside the data sequence space.  The octet after it is the first one that is mapped, with DSN
IDSN + 1 and relative SSN 1, although its place in the subflow is further on; so both ends count
relative SSNs from the end of the data on the SYN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.mptcp.state import Input, Mode, step
from plait.tcp import fast_open

if TYPE_CHECKING:
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Nanos
    from plait.wire.segment import Segment


def take(connection: Connection, now: Nanos, subflow: Subflow, syn: Segment) -> None:
    """Open the stream on a SYN with a valid cookie and deliver its data.

    Plain TCP answers at once.  Multipath TCP waits for the third ACK, since no mapping may be used
    before the peer's key is known; Linux waits as well.
    """
    subflow.tcp.receiver.window = connection.receiver.window()
    early = fast_open.take_data(subflow.tcp, now, syn)
    if early:
        subflow.collect()
        subflow.early_received = early
        connection.receiver.take_early(subflow.take(early), early)
    connection.state = step(connection.state, Input.OPENED)
    if connection.mode is Mode.TCP:
        connection.receive_offset = -early
        connection.sender.on_window(1 + syn.window)
        connection.on_subflow_active(subflow)
        fast_open.go_ahead(subflow.tcp, syn)


def on_syn_ack(connection: Connection, subflow: Subflow) -> None:
    """Drop from the stream what the SYN delivered; the rest is sent from DSN 1 on."""
    attempt = subflow.tcp.fast_open
    if attempt is None or not attempt.acked:
        return
    subflow.early_sent = attempt.acked
    connection.sender.drop_early(attempt.acked)
    if connection.mode is Mode.TCP:
        connection.send_offset = -attempt.acked
