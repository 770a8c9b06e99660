"""MP_FAIL is said until the peer reacts (RFC 8684, 3.7)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.script import BARE, MpPeer, found, payload, resets

from plait.host.events import LossReason
from plait.units import SECOND
from plait.wire.mptcp.dss import DATA_ACK, DSN_8, MAPPING, Dss
from plait.wire.mptcp.mp_fail import MpFail
from plait.wire.mptcp.mp_tcprst import MIDDLEBOX_INTERFERENCE, MpTcprst
from plait.wire.segment import ACK, Segment


def corrupted(settings: object = None) -> tuple[MpPeer, list[Segment]]:
    """Return a host that found the peer's first data changed, and what it answered."""
    peer = MpPeer(BARE if settings is None else replace(BARE, data_retries=3))
    return peer, peer.first.send(ACK, b"wrong", dss=peer.dss(1, 1, b"right"))


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-23")
def test_mp_fail_is_repeated_with_a_keep_alive_until_the_subflow_is_given_up() -> None:
    peer, sent = corrupted(settings="few retries")
    for _ in range(60):
        sent += peer.script.wait(SECOND)
    assert found(sent, MpFail) == [MpFail((peer.keys.local_idsn + 1) % (1 << 64))] * 4
    probes = [one for one in sent if peer.first.position(one) == 0 and one.flags == ACK]
    assert len(probes) == 3
    (reset,) = resets(sent)
    assert reset.options == (MpTcprst(MIDDLEBOX_INTERFERENCE),)
    assert peer.script.endings() == [LossReason.ABORTED]


REACTIONS: dict[str, tuple[Dss | None, tuple[MpFail, ...]]] = {
    "MP_FAIL": (Dss(DATA_ACK, 1), (MpFail(1),)),
    "an infinite mapping": (Dss(MAPPING | DSN_8, 0, 1, 6, 0, 0), ()),
    "a bare ACK": (None, ()),
}


@pytest.mark.rfc("8684", "3.7", "M8684-3.7-23")
@pytest.mark.parametrize(("dss", "options"), REACTIONS.values(), ids=REACTIONS.keys())
def test_it_ends_with(dss: Dss | None, options: tuple[MpFail, ...]) -> None:
    peer, _ = corrupted()
    assert found(peer.script.wait(5 * SECOND), MpFail)
    peer.first.send(dss=dss, options=options)
    later = peer.script.wait(600 * SECOND)
    assert found(later, MpFail) == []
    assert resets(later) == []
    assert payload(peer.script.write(2, b"goes on")) == b"goes on"


def test_segments_that_were_on_the_way_are_no_reaction() -> None:
    peer, _ = corrupted()
    peer.first.send(ACK, b"more", dss=peer.dss(6, 6, b"more"))
    assert found(peer.script.wait(5 * SECOND), MpFail)
    assert peer.script.read(2) == b"wrongmore"
