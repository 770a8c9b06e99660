"""Leaving out acknowledgments that a later one of the same burst supersedes.

Cumulative ACKs and Data ACKs say all that earlier ones said.  A kernel that answers every second
segment makes a burst of them while we send; handling the last costs a twentieth of handling all.
"""

from __future__ import annotations

from collections.abc import Sequence

from plait.wire.mptcp.dss import DATA_ACK, DATA_ACK_8, Dss
from plait.wire.segment import ACK, Segment
from plait.wire.seq import HALF32, MASK32


def thin(segments: Sequence[Segment]) -> Sequence[Segment]:
    """Return the segments without those that tell nothing the next one does not."""
    if len(segments) < 2:
        return segments
    kept: list[Segment] = []
    previous = segments[0]
    for segment in segments[1:]:
        if previous.length or not _supersedes(segment, previous):
            kept.append(previous)
        previous = segment
    kept.append(previous)
    return kept


def _supersedes(later: Segment, earlier: Segment) -> bool:
    """Return whether both are bare cumulative ACKs of one flow and the later one acknowledges more.

    Duplicate ACKs, SACKs, mappings and signals are never left out: each of them tells something.
    """
    return (
        earlier.flags == later.flags == ACK
        and not later.length
        and earlier.flow == later.flow
        and 0 < (later.ack - earlier.ack) & MASK32 < HALF32
        and not (earlier.sack or later.sack or earlier.options or later.options)
        and _bare(earlier.dss)
        and _bare(later.dss)
        and (earlier.dss is None) is (later.dss is None)
    )


def _bare(dss: Dss | None) -> bool:
    return dss is None or not dss.flags & ~(DATA_ACK | DATA_ACK_8)
