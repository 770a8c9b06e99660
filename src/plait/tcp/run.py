"""Runs: what one mapping covers, and the stretches of them that leave.

Runs are queued whole, leave as super-segments and stay until they are acknowledged, so that a
retransmission repeats both octets and mapping (RFC 8684, 3.3.1).
"""

from __future__ import annotations

from dataclasses import dataclass

from plait.buffers import Pieces, slice_pieces
from plait.units import Octets
from plait.wire.mptcp.dss import Dss
from plait.wire.tcp_options import Option


@dataclass(init=False, slots=True)
class Run:
    """A run of payload with the options that every segment of it carries."""

    start: Octets
    stop: Octets
    pieces: Pieces
    dss: Dss | None
    """Its mapping; the Data ACK in it is that of the first segment."""

    options: tuple[Option, ...]
    """An MP_CAPABLE in place of the mapping, on the first data of a connection."""

    dsn: Octets
    """Position of the first octet in the data stream."""

    reinjected: bool
    """Its data was given to another subflow too."""

    def __init__(
        self,
        start: Octets,
        stop: Octets,
        pieces: Pieces,
        dss: Dss | None,
        options: tuple[Option, ...],
        dsn: Octets,
    ) -> None:
        self.start = start
        self.stop = stop
        self.pieces = pieces
        self.dss = dss
        self.options = options
        self.dsn = dsn
        self.reinjected = False

    @property
    def dsn_stop(self) -> Octets:
        """Position in the data stream after the last octet."""
        return self.dsn + self.stop - self.start


@dataclass(init=False, slots=True)
class Departure:
    """One stretch of a run that leaves now."""

    run: Run
    start: Octets
    stop: Octets
    last: bool
    """Nothing is queued behind it."""

    again: bool
    """It was sent before."""

    probe: bool
    """It is one segment, whatever the segment size."""

    def __init__(self, run: Run, start: Octets, stop: Octets, last: bool, again: bool) -> None:
        self.run = run
        self.start = start
        self.stop = stop
        self.last = last
        self.again = again
        self.probe = False

    def pieces(self) -> Pieces:
        """Return the payload of the stretch."""
        if self.start == self.run.start and self.stop == self.run.stop:
            return self.run.pieces
        return slice_pieces(
            self.run.pieces, self.start - self.run.start, self.stop - self.run.start
        )
