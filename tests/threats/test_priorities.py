"""MP_PRIO from a path that is not the one it is about."""

from __future__ import annotations

import pytest
from support.script import PEER_2, UNCHECKED, VERSION_0, MpPeer, payload

from plait.wire.mptcp.mp_prio import MpPrio

LIES = {"the path itself": None, "the first path": 0, "its own address": 2}


@pytest.mark.rfc("8684", "3.3.8", "T-x-2")
@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("address_id", LIES.values(), ids=LIES.keys())
def test_who_sees_one_path_cannot_draw_the_data_of_others_to_it(
    version: str, address_id: int | None
) -> None:
    """In version 0 he can, since the option may name an address (RFC 6824, 3.3.8)."""
    peer = MpPeer(VERSION_0 if version == "v0" else UNCHECKED)
    peer.first.send(dss=peer.ack())
    second = peer.join(PEER_2)
    second.send(dss=peer.ack(), options=[MpPrio(backup=True, address_id=address_id)])
    spared = [one.backup for one in peer.connection.subflows]
    drawn = version == "v0" and address_id == 0
    heard = version == "v0" or address_id is None
    assert spared == [drawn, heard and not drawn]
    assert peer.script.host.counters.mp_prio_rx == heard
    sent = peer.script.write(peer.id, b"the data")
    carrier = second if drawn else peer.first
    if heard:
        assert payload([one for one in sent if one.flow == carrier.path.flow_in()]) == b"the data"
