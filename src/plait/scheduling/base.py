"""The contract of scheduling: views of subflows come in, granted ranges go out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mypy_extensions import mypyc_attr

from plait.units import Nanos, Octets


@dataclass(init=False, slots=True)
class SubflowView:
    """What a scheduler may know of one subflow."""

    index: int
    """Names the subflow within its connection; stable for its life."""

    room: Octets
    """Octets it could send now: congestion and peer's window permitting."""

    burst: Octets
    """Most octets of one mapping: a whole number of its segments."""

    mss: Octets
    """Octets of payload in one of its segments."""

    cwnd: Octets
    in_flight: Octets
    """On their way, or granted and about to leave."""

    srtt: Nanos
    """0 before the first sample."""

    rttvar: Nanos
    """How much samples of the round-trip time vary (RFC 6298)."""

    backup: bool
    """The peer asked to be spared this subflow (RFC 8684, 3.3.8)."""

    stale: bool
    """It fell silent, or still repairs what it lost then."""

    def __init__(
        self,
        index: int,
        room: Octets,
        burst: Octets,
        mss: Octets,
        cwnd: Octets,
        in_flight: Octets,
        srtt: Nanos,
        rttvar: Nanos,
        backup: bool,
        stale: bool,
    ) -> None:
        self.index = index
        self.room = room
        self.burst = burst
        self.mss = mss
        self.cwnd = cwnd
        self.in_flight = in_flight
        self.srtt = srtt
        self.rttvar = rttvar
        self.backup = backup
        self.stale = stale


@dataclass(init=False, slots=True)
class Grant:
    """Send the data from `start` to `stop` on one subflow, as one mapping."""

    index: int
    start: Octets
    stop: Octets

    def __init__(self, index: int, start: Octets, stop: Octets) -> None:
        self.index = index
        self.start = start
        self.stop = stop


@mypyc_attr(allow_interpreted_subclasses=True)
class Scheduler:
    """Decides which subflow sends which data.

    Asked once per burst.  A range granted twice is redundancy, a range granted that was sent
    before is reinjection, no grant is waiting.
    """

    name: ClassVar[str] = ""
    compares: ClassVar[bool] = False
    """It chooses by round-trip times: subflows that it leaves idle are measured now and then."""

    spares: ClassVar[bool] = False
    """Some subflows are to stay unused: not even the end of a stream is repeated there."""

    def schedule(
        self, now: Nanos, start: Octets, stop: Octets, edge: Octets, subflows: Sequence[SubflowView]
    ) -> list[Grant]:
        """Return grants for the data from `start` to `stop`, both positions of the stream.

        `edge` is the right edge of the peer's window, no less than `stop`.  `subflows` are those
        that may send, in the order in which they were made; `room` may be 0, but not of all.  At
        least the first grant must begin at `start`; none may pass `stop`, nor a subflow's `room` or
        `burst`.  Whoever grants nothing is asked again when an ACK comes, so something must be in
        flight.
        """
        raise NotImplementedError


def grant_on(view: SubflowView, start: Octets, stop: Octets) -> Grant:
    """Return a grant of what the subflow can take, from `start` to `stop` at most."""
    most = min(view.burst, view.room)
    return Grant(view.index, start, start + most if most < stop - start else stop)


def usable(subflows: Sequence[SubflowView]) -> list[SubflowView]:
    """Return the subflows of the best class present.

    Those that answer come before stale ones, and others before backups (RFC 8684, 3.3.8): a
    backup serves when no other subflow answers.
    """
    if len(subflows) == 1:
        return list(subflows)
    answering = [view for view in subflows if not view.stale] or list(subflows)
    return [view for view in answering if not view.backup] or answering


def by_index(view: SubflowView) -> int:
    """Sort by age, the oldest subflow first."""
    return view.index


def by_delay(view: SubflowView) -> Nanos:
    """Sort by smoothed round-trip time, the fastest subflow first."""
    return view.srtt
