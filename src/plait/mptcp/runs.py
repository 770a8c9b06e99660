"""Making runs: what a grant says becomes one mapping, which leaves as one super-segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait.congestion.base import MAX_SEGMENT
from plait.mptcp import handshake
from plait.mptcp.state import MPTCP
from plait.scheduling.base import Grant
from plait.tcp.run import Run
from plait.wire.checksum import dss_checksum
from plait.wire.mptcp.dss import DSN_8, MAPPING, NO_CHECKSUM, Dss
from plait.wire.seq import MASK32, wrap32, wrap64

if TYPE_CHECKING:
    from plait.buffers import Pieces
    from plait.mptcp.connection import Connection
    from plait.mptcp.subflow import Subflow
    from plait.units import Octets


def longest(mss: Octets) -> Octets:
    """Return the payload of the largest super-segment, in whole segments."""
    return MAX_SEGMENT - MAX_SEGMENT % mss if mss <= MAX_SEGMENT else mss


def queue(connection: Connection, grant: Grant) -> Run:
    """Queue what is granted on its subflow."""
    subflow = connection.subflow_at(grant.index)
    sender = subflow.tcp.sender
    start, stop = grant.start, grant.stop
    pieces = connection.sender.buffer.pieces(start, stop)
    ssn = sender.stop
    run = Run(ssn, ssn + stop - start, pieces, None, (), start)
    if connection.mode is MPTCP:
        _map(connection, subflow, run, pieces)
    elif connection.infinite_due:
        connection.infinite_due = False
        run.dss = infinite(connection, start, ssn - subflow.early_sent)
    sender.queue(run)
    return run


def copy(connection: Connection, grant: Grant) -> None:
    """Queue what another subflow carries, too."""
    connection.reinjected = True
    queue(connection, grant).reinjected = True


def infinite(connection: Connection, dsn: Octets, ssn: Octets) -> Dss:
    """Return the last mapping of a connection: all that follows is plain TCP (RFC 8684, 3.7)."""
    connection.counters.infinite_map_tx += 1
    checksum = 0 if connection.checksum else NO_CHECKSUM
    number = wrap64(dsn, connection.keys.local_idsn)
    return Dss(MAPPING | DSN_8, 0, number, wrap32(ssn, 0), 0, checksum)


def _map(connection: Connection, subflow: Subflow, run: Run, pieces: Pieces) -> None:
    """Give a run its mapping: a DSS, or MP_CAPABLE on the first data (RFC 8684, 3.1)."""
    length = run.stop - run.start
    dsn = wrap64(run.dsn, connection.keys.local_idsn)
    ssn = wrap32(run.start - subflow.early_sent, 0)
    checksum = NO_CHECKSUM
    if connection.checksum:
        checksum = dss_checksum(dsn, ssn, length, pieces)
    if ssn == 1 and not connection.confirmed and _repeats_keys(connection, subflow):
        run.options = (handshake.map_first_data(connection, length, checksum),)
    else:
        wide = connection.widths.dsn
        run.dss = Dss(MAPPING | wide, 0, dsn if wide else dsn & MASK32, ssn, length, checksum)


def _repeats_keys(connection: Connection, subflow: Subflow) -> bool:
    """Return whether our first data on this subflow carries the keys."""
    return connection.initiator and subflow.first and connection.version.keys_on_data
